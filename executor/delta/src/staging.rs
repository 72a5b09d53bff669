//! Files that are written into a table's folder before a version has them.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::path::Path;

use bytes::Bytes;
use delta_kernel::KernelError;
use flowc_objects::{Client, Condition, ObjectError};
use flowc_platform::{rename_new, sync_directory};
use tempfile::NamedTempFile;

use crate::engine::{Place, key};
use crate::error::DeltaError;
use crate::table::Table;

/// Bytes that are sent in one request; larger files are sent in parts of as many.
const PART: u64 = 8 << 20;
/// Stores take 10 000 parts.
const MOST_PARTS: u64 = 9000;

impl Table {
    /// A file that nobody sees, to be written and then put into the table's folder. Dropped, it is gone.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn stage(&self) -> Result<NamedTempFile, DeltaError> {
        let folder = match &self.storage.place {
            Place::Folder(root) => std::fs::create_dir_all(root).map(|()| root.clone()).map_err(of_io(root))?,
            Place::Bucket(..) => std::env::temp_dir(),
        };
        tempfile::Builder::new().prefix(".flowc-").tempfile_in(&folder).map_err(of_io(&folder))
    }

    /// Puts a staged file into the table's folder, where it lasts. No file may be there. Gives its bytes.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn place(&self, staged: NamedTempFile, path: &str) -> Result<u64, DeltaError> {
        let size = staged.as_file().metadata().map_err(of_io(staged.path()))?.len();
        match &self.storage.place {
            Place::Folder(root) => move_file(staged, &root.join(path)).map_err(of_io(&root.join(path)))?,
            Place::Bucket(client, root) => {
                let mut file = staged.into_file();
                let sent = file.rewind().and_then(|()| send(client, &key(root, path), &mut file, size));
                sent.map_err(of_io(Path::new(path)))??;
            }
        }
        Ok(size)
    }

    /// What a small file of the table's folder holds; none if it is not there.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read_note(&self, path: &str) -> Result<Option<Bytes>, DeltaError> {
        match self.storage.url(path).and_then(|url| self.storage.read(&url, None)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(KernelError::FileNotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a small file, unless there is one of that name with other bytes.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn write_note(&self, path: &str, bytes: Bytes) -> Result<bool, DeltaError> {
        Ok(self.storage.create(&self.storage.url(path)?, bytes)?)
    }

    /// Removes files that no version has. What can't be removed stays, and is no part of the table.
    pub fn remove(&self, paths: &[String]) {
        match &self.storage.place {
            Place::Folder(root) => paths.iter().for_each(|path| _ = std::fs::remove_file(root.join(path))),
            Place::Bucket(client, root) => {
                _ = client.delete(&paths.iter().map(|path| key(root, path)).collect::<Vec<_>>());
            }
        }
    }
}

fn of_io(path: &Path) -> impl Fn(io::Error) -> DeltaError {
    let path = path.to_owned();
    move |error| DeltaError::Other { reason: format!("{}: {error}", path.display()) }
}

fn move_file(staged: NamedTempFile, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    staged.as_file().sync_all()?;
    rename_new(staged.path(), path)?;
    // There is no file of that name to delete any more.
    drop(staged.keep());
    sync_directory(folder)
}

/// Sends a file. The outer error is the file's.
fn send(client: &std::sync::Arc<Client>, key: &str, file: &mut File, size: u64) -> io::Result<Result<(), ObjectError>> {
    let part = PART.max(size / MOST_PARTS);
    if size <= part || !client.takes_parts() {
        return Ok(client.put(key, read(file, size)?, &Condition::Absent).map(drop));
    }
    let mut upload = match client.begin(key) {
        Ok(upload) => upload,
        Err(error) => return Ok(Err(error)),
    };
    let mut left = size;
    while left > 0 {
        let bytes = read(file, left.min(part))?;
        left -= bytes.len() as u64;
        if let Err(error) = upload.add(bytes) {
            return Ok(Err(error));
        }
    }
    Ok(upload.complete(&Condition::Absent).map(drop))
}

fn read(file: &mut File, length: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    match file.take(length).read_to_end(&mut bytes)? as u64 == length {
        true => Ok(bytes.into()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}
