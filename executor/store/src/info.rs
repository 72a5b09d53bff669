//! What a store holds, in numbers.

use std::fs;
use std::path::Path;

use crate::error::io_at;
use crate::{Area, STORE_VERSION, Store, StoreError};

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// Version of the format.
    pub version: u32,
    /// Column keys with a result.
    pub columns: u64,
    /// Rows keys with a number of rows.
    pub rows: u64,
    /// Remembered facts.
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
    /// What is being written, or was when a process was killed.
    pub temporary: Usage,
    /// The index.
    pub index: Usage,
}

impl Store {
    /// Counts what the store holds; what this process has not flushed is not in it.
    pub fn info(&self) -> Result<Info, StoreError> {
        let counts = self.shared.with_index(|index| index.counts())?.unwrap_or_default();
        let usage = |folder: &str| usage(&self.dir().join(folder), "");
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
            index: self::usage(self.dir(), "index.sqlite")?,
        })
    }
}

/// A file, or all files in a folder and below. What is gone by now is not counted.
pub(crate) fn usage_of(path: &Path) -> Usage {
    let Ok(metadata) = fs::symlink_metadata(path) else { return Usage::default() };
    if !metadata.is_dir() {
        return Usage { files: 1, bytes: metadata.len() };
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| usage_of(&entry.path()))
        .fold(Usage::default(), |all, one| Usage { files: all.files + one.files, bytes: all.bytes + one.bytes })
}

/// The files of a folder whose names begin so.
fn usage(folder: &Path, prefix: &str) -> Result<Usage, StoreError> {
    let mut usage = Usage::default();
    for entry in fs::read_dir(folder).map_err(io_at("read", folder))? {
        let entry = entry.map_err(io_at("read", folder))?;
        // A file that is gone by now is not counted.
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
            && entry.file_name().to_string_lossy().starts_with(prefix)
        {
            usage.files += 1;
            usage.bytes += metadata.len();
        }
    }
    Ok(usage)
}
