//! Makes room for what is put in its place.

use std::path::Path;

use crate::PythonError;

/// Removes whatever is at a path.
pub(crate) fn remove(path: &Path) -> Result<(), PythonError> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(PythonError::io(path))
}
