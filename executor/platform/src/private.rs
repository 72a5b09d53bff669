//! Files for this user alone, which go when what they speak of does.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that nobody else can read, such as one of credentials. Dropping it removes the file.
pub struct PrivateFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl PrivateFile {
    /// Writes it. It is there as a whole or not at all.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(path: &Path, bytes: Vec<u8>) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Temporary files have the mode 0600.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(path)?;
        Ok(Self { path: path.to_owned(), bytes })
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        // Another process may have written its own there.
        if std::fs::read(&self.path).is_ok_and(|bytes| bytes == self.bytes) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_this_users_and_goes_unless_another_took_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials.json");
        let first = PrivateFile::write(&path, b"one".to_vec()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = PrivateFile::write(&path, b"two".to_vec()).unwrap();
        drop(first);
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        drop(second);
        assert!(!path.exists());
    }
}
