//! Folders for tests.

use std::fs;

use flowc_code::{Digests, PipelineFiles, Reader};

/// A folder with these files, each of which holds its own name.
pub(crate) fn project(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    folder
}

/// Reads with nothing known and nothing kept.
pub(crate) fn reading<T>(read: impl FnOnce(&Reader<'_>) -> T) -> T {
    read(&Reader::new(&PipelineFiles::default(), None, Digests::default()))
}
