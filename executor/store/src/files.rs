//! Files and folders: counted, listed, removed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::error::io_at;

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
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
pub(crate) fn usage(folder: &Path, prefix: &str) -> Result<Usage, StoreError> {
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

/// The files of a folder, and their bytes.
pub(crate) fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_at("read", folder))? {
        let entry = entry.map_err(io_at("read", folder))?;
        let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
        files.push((entry.path(), bytes));
    }
    Ok(files)
}

/// Removes a file, or a folder with all that is in it.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let is_folder = fs::symlink_metadata(path).map_err(io_at("read", path))?.is_dir();
    let removed = if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(io_at("remove", path))
}
