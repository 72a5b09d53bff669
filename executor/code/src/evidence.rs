//! By what a later run sees that nothing has changed, without reading it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use flowc_platform::FileStamp;

/// What an outcome depends on, of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Files and folders, with their stamps before they were read: while these stand, they are unchanged. Links are followed. A
    /// stamp of later would not do: another file may have been put in the place of the one that was read.
    pub paths: BTreeMap<PathBuf, FileStamp>,
    /// Paths that lead nowhere: something there would have counted.
    pub absent: BTreeSet<PathBuf>,
    /// Environment variables with their values; none for one that is not set.
    pub variables: BTreeMap<String, Option<OsString>>,
    /// How names of environment variables begin, with all that are set: one more would have counted.
    pub variable_sets: BTreeMap<String, BTreeSet<String>>,
}

/// The names of all environment variables of this process that begin so.
pub fn variables_beginning(with: &str) -> BTreeSet<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with(with)).collect()
}

impl Evidence {
    /// Adds a path before it is read: with what is there, or that nothing is.
    pub fn look(&mut self, path: impl Into<PathBuf>) {
        let path = path.into();
        match FileStamp::of(&path) {
            Ok(stamp) => drop(self.paths.entry(path).or_insert(stamp)),
            Err(_) => drop(self.absent.insert(path)),
        }
    }

    /// Adds a variable of this process, and gives its value.
    pub fn variable(&mut self, name: &str) -> Option<OsString> {
        let value = std::env::var_os(name);
        self.variables.insert(name.to_owned(), value.clone());
        value
    }

    /// Adds the names of all variables of this process that begin so. Their values may be secret.
    pub fn variables_beginning(&mut self, with: &str) {
        self.variable_sets.insert(with.to_owned(), variables_beginning(with));
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: Evidence) {
        // What was seen first counts, so that a change between the two is noticed.
        for (path, stamp) in other.paths {
            self.paths.entry(path).or_insert(stamp);
        }
        self.absent.extend(other.absent);
        self.variables.extend(other.variables);
        self.variable_sets.extend(other.variable_sets);
    }

    /// Adds these names below a folder and below each folder above it.
    pub fn look_above(&mut self, folder: &Path, names: &[&str]) {
        for above in folder.ancestors() {
            names.iter().for_each(|name| self.look(above.join(name)));
        }
    }
}
