//! By what a later run sees that nothing has changed, without reading it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What an outcome depends on, of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Files and folders whose stamps say "unchanged". Links are followed.
    pub paths: BTreeSet<PathBuf>,
    /// Paths that lead nowhere: something there would have counted.
    pub absent: BTreeSet<PathBuf>,
    /// Environment variables with their values; none for one that is not set.
    pub variables: BTreeMap<String, Option<OsString>>,
}

impl Evidence {
    /// Adds a path: with what is there, or that nothing is.
    pub fn look(&mut self, path: impl Into<PathBuf>) {
        let path = path.into();
        match path.exists() {
            true => self.paths.insert(path),
            false => self.absent.insert(path),
        };
    }

    /// Adds a variable of this process, and gives its value.
    pub fn variable(&mut self, name: &str) -> Option<OsString> {
        let value = std::env::var_os(name);
        self.variables.insert(name.to_owned(), value.clone());
        value
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Evidence) {
        self.paths.extend(other.paths);
        self.absent.extend(other.absent);
        self.variables.extend(other.variables);
    }

    /// Adds these names below a folder and below each folder above it.
    pub fn look_above(&mut self, folder: &Path, names: &[&str]) {
        for above in folder.ancestors() {
            names.iter().for_each(|name| self.look(above.join(name)));
        }
    }
}
