//! What a store holds, in numbers.

use crate::files::{self, usage_of};
use crate::{Area, STORE_VERSION, Store, StoreError, Usage};

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Version of the format.
    pub version: u32,
    /// Column keys with a result.
    pub columns: u64,
    /// Rows keys with a number of rows.
    pub rows: u64,
    /// Remembered facts in the index.
    pub memos: u64,
    /// Results that garbage collection removed.
    pub tombstones: u64,
    /// Segment files and packs of them.
    pub objects: Usage,
    /// Compiled components.
    pub cwasm: Usage,
    /// Components built from source trees, and what their builds need again.
    pub builds: Usage,
    /// Environments of Python stages.
    pub environments: Usage,
    /// Files that are being written, or were when a process was killed.
    pub temporary: Usage,
    /// The files of the index.
    pub index: Usage,
}

impl Store {
    /// Counts what the store holds; what this process has not flushed is not in it.
    ///
    /// # Errors
    /// If the index or a folder of the store can't be read.
    pub fn info(&self) -> Result<Info, StoreError> {
        let counts = self.shared.with_index(|index| index.counts())?.unwrap_or_default();
        let usage = |folder: &str| files::usage(&self.dir().join(folder), "");
        let [builds, environments] =
            [Area::Builds, Area::Environments].map(|area| usage_of(&Store::area(self.dir(), area)));
        Ok(Info {
            version: STORE_VERSION,
            columns: counts[0],
            rows: counts[1],
            memos: counts[2],
            tombstones: counts[3],
            objects: usage("objects")?,
            cwasm: usage(Area::Cwasm.folder())?,
            builds: Usage {
                files: builds.files.saturating_sub(environments.files),
                bytes: builds.bytes.saturating_sub(environments.bytes),
            },
            environments,
            temporary: usage("tmp")?,
            index: files::usage(self.dir(), "index.sqlite")?,
        })
    }
}
