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

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use flowc_planner::plan::{SinkSpec, Target};
use flowc_platform::{Lock, lock_exclusive};

use crate::error::{At, SinkError};
use crate::state::target_path;
use crate::swap;

/// Bytes collected before a file is opened and appended to. No file stays open, so a sink may write thousands at once.
const BUFFER: usize = 256 << 10;

/// The staging folders of a run. Those for single files stay until [`Stagings::clear`], or until this is dropped.
#[derive(Debug, Default)]
pub struct Stagings(Mutex<HashMap<PathBuf, Arc<Staging>>>);

impl Stagings {
    /// The staging folder of a file, shared with the other files of its folder.
    pub(crate) fn of_file(&self, target: &Path) -> Result<Arc<Staging>, SinkError> {
        let parent = target.parent().unwrap_or(Path::new("/"));
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(staging) = folders.get(parent) {
            return Ok(staging.clone());
        }
        let staging = Arc::new(Staging::create(parent, SHARED, None)?);
        folders.insert(parent.to_owned(), staging.clone());
        Ok(staging)
    }

    /// Removes what is left of them, once the sinks have appeared or been given up.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A staging folder for a folder.
    pub(crate) fn of_folder(&self, target: &Path) -> Result<Arc<Staging>, SinkError> {
        let parent = target.parent().unwrap_or(Path::new("/"));
        Ok(Arc::new(Staging::create(parent, &prefix(target), Some(target))?))
    }
}

/// How the names of staging folders of files start.
const SHARED: &str = ".flowc-";

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
        self.path.join(swap::NEXT)
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

/// Removes what killed runs left beside the targets of sinks: staging folders whose owner is gone. Files in them that no
/// sink wrote go back to their target. To be called once before sinks are prepared; a folder that holds many targets is
/// listed once. `base` is the pipeline's folder.
///
/// # Errors
/// If a folder that holds targets can't be listed, or what lies there can't be removed.
pub fn remove_leftovers<'a>(specs: impl IntoIterator<Item = &'a SinkSpec>, base: &Path) -> Result<(), SinkError> {
    let specs = specs.into_iter().filter(|spec| spec.target != Target::Stdout);
    let targets = specs.map(|spec| located(spec, base)).collect::<Result<BTreeSet<_>, _>>()?;
    let parents: BTreeSet<&Path> = targets.iter().filter_map(|target| target.parent()).collect();
    for parent in parents.into_iter().filter(|parent| parent.is_dir()) {
        for entry in fs::read_dir(parent).at(parent, "listing")? {
            let name = entry.at(parent, "listing")?.file_name();
            let (folder, name) = (parent.join(&name), name.to_string_lossy());
            match staged_for(parent, &name) {
                Some(target) if targets.contains(&target) => remove_leftover(&folder, Some(&target)),
                None if name.starts_with(SHARED) && folder.is_dir() => remove_leftover(&folder, None),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Where a target lies, with symbolic links followed, as [`crate::Preparation`] does it.
fn located(spec: &SinkSpec, base: &Path) -> Result<PathBuf, SinkError> {
    let path = std::path::absolute(target_path(spec, base)).at(base, "finding the folder")?;
    Ok(fs::canonicalize(&path).unwrap_or(path))
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
    let next = folder.join(swap::NEXT);
    let left = target.is_some_and(|target| swap::retire(&next, target).is_err()) || next.exists();
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
