//! What a stage's code consists of, to say later which part of it has changed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Tree, relative};

/// The parts of a stage's code: files by their paths, and what else is in its digest by what people call it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts(BTreeMap<String, [u8; 32]>);

impl Parts {
    /// Adds a part that is no file.
    #[must_use]
    pub fn with(mut self, name: &str, content: &[u8]) -> Self {
        self.0.insert(name.to_owned(), *blake3::hash(content).as_bytes());
        self
    }

    /// Adds a file, by its path from `folder`.
    #[must_use]
    pub fn with_file(self, path: &Path, folder: &Path, content: &[u8]) -> Self {
        self.with(&relative(folder, path).to_string_lossy(), content)
    }

    /// Adds the files and links of a tree, by their paths from `folder`.
    #[must_use]
    pub fn with_tree(mut self, tree: &Tree, folder: &Path) -> Self {
        for (path, entry) in &tree.entries {
            if let Some(digest) = entry.digest() {
                let path = relative(folder, &tree.base.join(path));
                self.0.insert(path.to_string_lossy().into_owned(), digest);
            }
        }
        self
    }

    /// The names of parts that came, went, or differ.
    pub fn changed(&self, before: &Parts) -> Vec<String> {
        let names = self.0.keys().chain(before.0.keys().filter(|name| !self.0.contains_key(*name)));
        let mut changed: Vec<String> = names.filter(|name| self.0.get(*name) != before.0.get(*name)).cloned().collect();
        changed.sort();
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_came_went_or_differ_are_told() {
        let before = Parts::default().with("kept", b"a").with("edited", b"a").with("gone", b"a");
        let now = Parts::default().with("kept", b"a").with("edited", b"b").with("new", b"a");
        assert_eq!(now.changed(&before), ["edited", "gone", "new"]);
        assert!(now.changed(&now).is_empty());
    }
}
