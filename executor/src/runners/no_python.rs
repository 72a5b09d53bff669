//! In place of Python stages, in a flowc that was built without the feature `python`.

use std::path::PathBuf;

use flowc_code::Snapshots;

/// Environments that another flowc may have made in the same store: they stay as they are.
#[expect(dead_code, reason = "it is made as the one with Python is")]
pub(crate) struct Environments {
    /// The folder that holds them.
    pub(crate) home: PathBuf,
    /// Code that they were made of.
    pub(crate) snapshots: Snapshots,
}

impl Environments {
    /// None that this flowc can tell.
    pub(crate) fn damaged(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Everything is kept.
    pub(crate) fn is_sdk(_name: &str) -> bool {
        true
    }

    /// Nothing is counted.
    pub(crate) fn is_whole(_name: &str) -> bool {
        false
    }
}
