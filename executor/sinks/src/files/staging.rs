//! The places beside targets where files are written before anybody sees them.
//!
//! ```text
//! out/                      a folder that a sink writes
//! .out.flowc-4k2Xq1/        gone after the commit; removed by the next run if this one is killed
//!     lock                  held while the owner lives
//!     0 1 2 ...             files being written
//!     next/                 the folder that will take the target's place
//! a.csv b.csv               files that sinks write
//! .flowc-Zp09aW/            one for all of them: making and removing a folder takes longer than writing a small file
//!     lock 0 1 2 ...        as above
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use flowc_platform::{Lock, lock, lock_exclusive};

use crate::error::{At, SinkError};
use crate::files::retire::retire;

/// Bytes collected before a file is opened and appended to. No file stays open, so a sink may write thousands at once.
const BUFFER: usize = 256 << 10;

/// The staging folders of a run. Those for single files stay until [`Stagings::clear`], or until this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Stagings {
    /// Shared by the files of a folder, by that folder.
    shared: Mutex<HashMap<PathBuf, Arc<Staging>>>,
    /// Names of the staging folders that lay in a folder before the run, but for those that it removed.
    leftovers: Mutex<HashMap<PathBuf, Vec<String>>>,
}

impl Stagings {
    /// The staging folder of a file, shared with the other files of its folder.
    pub(crate) fn of_file(&self, target: &Path) -> Result<Arc<Staging>, SinkError> {
        let parent = target.parent().unwrap_or(Path::new("/"));
        let mut folders = lock(&self.shared);
        if let Some(staging) = folders.get(parent) {
            return Ok(staging.clone());
        }
        let staging = Arc::new(Staging::create(parent, SHARED, None)?);
        folders.insert(parent.to_owned(), staging.clone());
        Ok(staging)
    }

    /// Removes what killed runs left beside a target: staging folders whose owner is gone. Files in them that no sink
    /// wrote go back to their target. A folder that holds many targets is listed once.
    pub(crate) fn recover(&self, target: &Path) -> Result<(), SinkError> {
        let Some(parent) = target.parent().filter(|parent| parent.is_dir()) else { return Ok(()) };
        let mut leftovers = lock(&self.leftovers);
        if !leftovers.contains_key(parent) {
            leftovers.insert(parent.to_owned(), staging_folders(parent)?);
        }
        let found = leftovers.entry(parent.to_owned()).or_default();
        found.retain(|name| {
            let folder = parent.join(name);
            match staged_for(parent, name) {
                Some(staged) if staged == target => remove_leftover(&folder, Some(target)),
                None if folder.is_dir() => remove_leftover(&folder, None),
                _ => return true,
            }
            false
        });
        Ok(())
    }

    /// Removes what is left of them, once the sinks have appeared or been given up.
    pub(crate) fn clear(&self) {
        lock(&self.shared).clear();
    }

    /// A staging folder for a folder.
    pub(crate) fn of_folder(&self, target: &Path) -> Result<Arc<Staging>, SinkError> {
        let parent = target.parent().unwrap_or(Path::new("/"));
        Ok(Arc::new(Staging::create(parent, &prefix(target), Some(target))?))
    }
}

/// How the names of staging folders of files start.
const SHARED: &str = ".flowc-";

/// The name, in a staging folder, of the folder that is built; after the exchange, of the old one.
const NEXT: &str = "next";

/// A staging folder that is removed when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    /// The folder whose place is to be taken.
    target: Option<PathBuf>,
    next_file: AtomicU64,
    _lock: Lock,
}

impl Staging {
    /// Makes a staging folder, and the folders above it.
    fn create(parent: &Path, prefix: &str, target: Option<&Path>) -> Result<Self, SinkError> {
        fs::create_dir_all(parent).at(parent, "making the folder")?;
        loop {
            let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).at(parent, "writing")?;
            let lock = folder.path().join("lock");
            // Another process may clean the folder away before the lock is held: then the next name is tried.
            let held = lock_exclusive(&lock, true);
            if let (Ok(Some(held)), true) = (held, lock.exists()) {
                let (path, target) = (folder.keep(), target.map(Path::to_owned));
                return Ok(Self { path, target, next_file: AtomicU64::new(0), _lock: held });
            }
            if folder.path().exists() {
                let refused = io::Error::other("no lock could be taken");
                return Err(SinkError::io(&lock, "locking", refused));
            }
        }
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.path
    }

    /// A name for a file that is free.
    pub(crate) fn fresh(&self) -> PathBuf {
        self.path.join(self.next_file.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Where the folder that replaces the target is built.
    pub(crate) fn next(&self) -> PathBuf {
        self.path.join(NEXT)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        clear(&self.path, self.target.as_deref());
    }
}

fn prefix(target: &Path) -> String {
    format!(".{}.flowc-", target.file_name().unwrap_or_default().to_string_lossy())
}

/// The names in a folder that are names of staging folders.
fn staging_folders(parent: &Path) -> Result<Vec<String>, SinkError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(parent).at(parent, "listing")? {
        let name = entry.at(parent, "listing")?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(SHARED) || staged_for(parent, &name).is_some() {
            names.push(name.into_owned());
        }
    }
    Ok(names)
}

/// The target that a folder of this name is staged for: the inverse of [`prefix`].
fn staged_for(parent: &Path, name: &str) -> Option<PathBuf> {
    let (target, _) = name.strip_prefix('.')?.rsplit_once(".flowc-")?;
    Some(parent.join(target))
}

fn remove_leftover(folder: &Path, target: Option<&Path>) {
    let lock = folder.join("lock");
    if !lock.exists() {
        // Empty if it is a leftover; otherwise it is not ours to remove.
        let _ = fs::remove_dir(folder);
    } else if let Ok(Some(_held)) = lock_exclusive(&lock, false) {
        clear(folder, target);
    }
}

/// Removes a staging folder, but no file in `next/` that no sink wrote: such a file goes back to the target.
fn clear(folder: &Path, target: Option<&Path>) {
    let next = folder.join(NEXT);
    let left = target.is_some_and(|target| retire(&next, target).is_err()) || next.exists();
    if left {
        tracing::warn!("{}: files that no sink wrote are left there; move them where they belong", next.display());
    } else if let Err(error) = remove_all(folder) {
        tracing::warn!("{}: could not be removed: {error}", folder.display());
    }
}

/// Removes a staging folder's files, the lock last: without a lock it is empty, so that the next run can tell.
fn remove_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != "lock" {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_file(folder.join("lock"))?;
    fs::remove_dir(folder)
}

/// A file being written: buffered, hashed, opened only to append.
#[derive(Debug)]
pub(crate) struct StagedFile {
    path: PathBuf,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
}

impl StagedFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, buffer: Vec::new(), hasher: blake3::Hasher::new() }
    }

    /// Writes what is buffered. Gives the file's place and the BLAKE3 of its bytes.
    pub(crate) fn finish(mut self) -> io::Result<(PathBuf, [u8; 32])> {
        let file = self.append()?;
        // A clock reading that is no multiple of the file system's tick: a later write, even in the same tick, gives
        // the file another time, so the stamp taken after the commit can be trusted at once.
        file.set_modified(SystemTime::now())?;
        Ok((self.path, *self.hasher.finalize().as_bytes()))
    }

    fn append(&mut self) -> io::Result<File> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        file.write_all(&self.buffer)?;
        self.hasher.update(&self.buffer);
        self.buffer.clear();
        Ok(file)
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.append()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
