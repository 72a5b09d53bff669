//! Durable writes, atomic exchanges, locks.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::retry_on_intr;

/// A path below a folder, as [`Path::join`] gives it, which allocates twice: for where there are thousands of names.
pub fn path_below(folder: &Path, name: &str) -> PathBuf {
    let mut path = PathBuf::with_capacity(folder.as_os_str().len() + 1 + name.len());
    path.extend([folder, Path::new(name)]);
    path
}

/// Swaps two paths in one step; both must exist, on one file system.
///
/// # Errors
/// If one of the paths is not there, if they are on different file systems, or if a folder can't be written.
pub fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

/// Renames, and fails if the new name is taken.
///
/// # Errors
/// If the new name is taken, if the paths are on different file systems, or if a folder can't be written.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

/// Writes a file so that others see it whole or not at all. Its folder is made if it is not there.
///
/// # Errors
/// If the folder can't be made or written, or the file system is full.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let file = tempfile::NamedTempFile::new_in(folder)?;
    std::fs::write(file.path(), bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// If the folder can't be opened, or the device reports that writing failed.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes everything durable that was written to the file system which holds `path`: one call for many files.
///
/// # Errors
/// If the path can't be opened, or a device reports that writing failed.
pub fn sync_filesystem(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

/// Whether this process may write to a path, by its permissions and the file system's.
pub fn may_write(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// A lock on a file, given back when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Locks an open file for this process alone; gives `None` when another one has it.
    ///
    /// # Errors
    /// If the file system has no locks.
    pub fn of_file(file: File) -> io::Result<Option<Self>> {
        locked(file, FlockOperation::NonBlockingLockExclusive)
    }

    /// The file that is locked.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether the file that is locked is the one at this path: it may have been removed before the lock was taken.
    pub fn is_of(&self, path: &Path) -> bool {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let locked = self.file.metadata().map(identity).ok();
        locked.is_some() && locked == std::fs::metadata(path).map(identity).ok()
    }
}

/// A file that is locked and released again and again. Threads of one process that share it take turns by themselves.
#[derive(Debug)]
pub struct LockFile {
    file: File,
}

impl LockFile {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// If the file can be neither opened nor made.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: open_lock(path)? })
    }

    /// Takes a lock that others may share. Waits until nobody has the lock alone.
    ///
    /// # Errors
    /// If the file system has no locks.
    pub fn lock_shared(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| flock(&self.file, FlockOperation::LockShared))?)
    }

    /// Takes the lock alone. Waits until nobody has it.
    ///
    /// # Errors
    /// If the file system has no locks.
    pub fn lock_exclusive(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| flock(&self.file, FlockOperation::LockExclusive))?)
    }

    /// Releases the lock.
    ///
    /// # Errors
    /// If the file system has no locks.
    pub fn unlock(&self) -> io::Result<()> {
        Ok(flock(&self.file, FlockOperation::Unlock)?)
    }
}

/// Takes a lock that others may share. Waits if `wait`, else gives `None` when it is taken exclusively.
///
/// # Errors
/// If the file can be neither opened nor made, or its file system has no locks.
pub fn lock_shared(path: &Path, wait: bool) -> io::Result<Option<Lock>> {
    let operation = if wait { FlockOperation::LockShared } else { FlockOperation::NonBlockingLockShared };
    take(path, operation)
}

/// Takes a lock for this process alone. Waits if `wait`, else gives `None` when it is taken.
///
/// # Errors
/// If the file can be neither opened nor made, or its file system has no locks.
pub fn lock_exclusive(path: &Path, wait: bool) -> io::Result<Option<Lock>> {
    let operation = if wait { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
    take(path, operation)
}

fn take(path: &Path, operation: FlockOperation) -> io::Result<Option<Lock>> {
    locked(open_lock(path)?, operation)
}

fn locked(file: File, operation: FlockOperation) -> io::Result<Option<Lock>> {
    match retry_on_intr(|| flock(&file, operation)) {
        Ok(()) => Ok(Some(Lock { file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    match OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path) {
        Err(error) if refuses_writes(&error) => File::open(path).map_err(|_| error),
        opened => opened,
    }
}

/// Whether an error says that something may be read but not written. (A lock file can be locked all the same.)
fn refuses_writes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Opens a file for reading. A pipe is opened too, and not waited for until somebody writes to it.
///
/// # Errors
/// If it can't be opened.
pub fn open_without_waiting(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Opens a regular file for reading; links are followed. Whatever else has the path is an error, and is not waited for.
///
/// # Errors
/// If it can't be opened, or is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = open_without_waiting(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file")),
    }
}

/// The content of a regular file, as [`open_regular`] opens it.
///
/// # Errors
/// If it can't be opened or read, or is no regular file.
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open_regular(path)?.read_to_end(&mut content)?;
    Ok(content)
}
