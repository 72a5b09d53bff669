//! The files of a table: in a folder of this machine, or in a bucket.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use delta_kernel::{FileMeta, FileSlice, KernelError, KernelResult, KernelResultIterator, StorageHandler};
use flowc_objects::{Bucket, Client, Condition, Object, ObjectError};
use flowc_platform::{FileStamp, lock, rename_new, sync_directory};
use percent_encoding::percent_decode_str;
use tempfile::NamedTempFile;
use url::Url;

/// Bytes of commits that are kept.
const KEPT: usize = 64 << 20;

/// Where a table is.
#[derive(Clone)]
pub(crate) enum Place {
    /// The table's folder.
    Folder(PathBuf),
    /// The bucket, and what the keys of the table's objects start with, without a slash at its end.
    Bucket(Arc<Client>, String),
}

/// The files of a table, by URLs below that of its root.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) place: Place,
    /// The table's root; it ends with a slash.
    pub(crate) root: Url,
    /// Commits that were read.
    commits: Arc<Mutex<HashMap<Url, Bytes>>>,
}

impl Storage {
    pub(crate) fn new(place: Place, root: Url) -> Self {
        Self { place, root, commits: Arc::default() }
    }

    /// A file's path below the root.
    ///
    /// # Errors
    /// If it is outside of the root.
    pub(crate) fn relative(&self, url: &Url) -> KernelResult<String> {
        let outside =
            || KernelError::unsupported(format!("the log names {url}, which is outside of the table's folder"));
        let below = url.as_str().strip_prefix(self.root.as_str()).ok_or_else(outside)?;
        let path = percent_decode_str(below).decode_utf8()?;
        // A part that leads upwards was resolved when the URL was made, unless it was encoded.
        let is_below = path.split('/').all(|name| !matches!(name, ".." | "."));
        if is_below { Ok(path.into_owned()) } else { Err(outside()) }
    }

    pub(crate) fn url(&self, relative: &str) -> KernelResult<Url> {
        let mut url = self.root.clone();
        let mut segments = url.path_segments_mut().map_err(|()| KernelError::generic("the table's URL has no path"))?;
        segments.pop_if_empty().extend(relative.split('/'));
        drop(segments);
        Ok(url)
    }

    /// A whole file, or a range of it.
    pub(crate) fn read(&self, url: &Url, range: Option<Range<u64>>) -> KernelResult<Bytes> {
        let relative = self.relative(url)?;
        match &self.place {
            Place::Folder(root) => read_file(&root.join(&relative), range).map_err(|error| of_io(error, &relative)),
            Place::Bucket(client, root) => {
                let key = key(root, &relative);
                let read = match range {
                    None => client.get_whole(&key).map(|(_, bytes)| bytes),
                    Some(range) => read_object(client, &key, range).map_err(|error| of_io(error, &relative))?,
                };
                read.map_err(|error| of_object(error, &relative))
            }
        }
    }

    /// A whole commit, which never changes: the kernel reads each several times.
    pub(crate) fn read_commit(&self, url: &Url) -> KernelResult<Bytes> {
        if let Some(bytes) = lock(&self.commits).get(url) {
            return Ok(bytes.clone());
        }
        let bytes = self.read(url, None)?;
        let mut commits = lock(&self.commits);
        if commits.values().map(Bytes::len).sum::<usize>() + bytes.len() <= KEPT {
            commits.insert(url.clone(), bytes.clone());
        }
        Ok(bytes)
    }

    /// What tells the contents of data files from what others write to the same paths: what the file system or the service says of each,
    /// by its path. Those that are not there are left out.
    ///
    /// # Errors
    /// If the service does not answer.
    pub(crate) fn contents(&self, paths: &[&str]) -> KernelResult<HashMap<String, String>> {
        match &self.place {
            Place::Folder(root) => {
                let found = |path: &&str| Some(((*path).to_owned(), content_of(&root.join(path))?));
                Ok(paths.iter().filter_map(found).collect())
            }
            Place::Bucket(..) if paths.is_empty() => Ok(HashMap::new()),
            Place::Bucket(client, root) => {
                let wanted: HashSet<String> = paths.iter().map(|path| key(root, path)).collect();
                let below = if root.is_empty() { 0 } else { root.len() + 1 };
                let mut found = HashMap::new();
                let mut take = |object: Object| {
                    if wanted.contains(&object.key) {
                        found.insert(object.key[below..].to_owned(), object.identity());
                    }
                };
                client.list(root, true, &mut take).map_err(|error| of_object(error, ""))?;
                Ok(found)
            }
        }
    }

    /// All files below a folder of the table.
    pub(crate) fn list(&self, folder: &str) -> KernelResult<Vec<FileMeta>> {
        let mut found = Vec::new();
        match &self.place {
            Place::Folder(root) => {
                walk(&root.join(folder), root, &mut |path, metadata| found.push((path, metadata)))
                    .map_err(|error| of_io(error, folder))?;
            }
            Place::Bucket(client, root) => {
                let prefix = if root.is_empty() { String::new() } else { format!("{root}/") };
                let mut take = |object: Object| {
                    if let Some(path) = object.key.strip_prefix(&prefix) {
                        found.push((path.to_owned(), (object.modified_ms, object.size)));
                    }
                };
                client.list(&key(root, folder), true, &mut take).map_err(|error| of_object(error, folder))?;
            }
        }
        let meta = |(path, (modified, size)): (String, (i64, u64))| Ok(FileMeta::new(self.url(&path)?, modified, size));
        let mut files = found.into_iter().map(meta).collect::<KernelResult<Vec<_>>>()?;
        files.sort_by(|one, other| one.location.as_str().cmp(other.location.as_str()));
        Ok(files)
    }

    /// Writes a file whole. Gives false if there is one of that name with other bytes.
    pub(crate) fn create(&self, url: &Url, bytes: Bytes) -> KernelResult<bool> {
        let relative = self.relative(url)?;
        match &self.place {
            Place::Folder(root) => create_file(&root.join(&relative), &bytes).map_err(|error| of_io(error, &relative)),
            Place::Bucket(client, root) => {
                let key = key(root, &relative);
                match client.put(&key, bytes.clone(), &Condition::Absent) {
                    Ok(_) => Ok(true),
                    // It may be ours, if the answer was lost and the request made again.
                    Err(ObjectError::Changed) => {
                        let there = client.get_whole(&key).map_err(|error| of_object(error, &relative))?;
                        Ok(there.1 == bytes)
                    }
                    Err(error) => Err(of_object(error, &relative)),
                }
            }
        }
    }

    /// Writes a file whole, over one of that name.
    fn replace(&self, url: &Url, bytes: Bytes) -> KernelResult<()> {
        let relative = self.relative(url)?;
        match &self.place {
            Place::Folder(root) => replace_file(&root.join(&relative), &bytes).map_err(|error| of_io(error, &relative)),
            Place::Bucket(client, root) => {
                let put = client.put(&key(root, &relative), bytes, &Condition::Always);
                put.map(drop).map_err(|error| of_object(error, &relative))
            }
        }
    }
}

/// The key of an object.
pub(crate) fn key(root: &str, relative: &str) -> String {
    if root.is_empty() { relative.to_owned() } else { format!("{root}/{relative}") }
}

/// What the file system says of a file.
fn content_of(path: &Path) -> Option<String> {
    let FileStamp { size, modified_ns, changed_ns, inode, device } = FileStamp::of(path).ok()?;
    Some(format!("stamp {size} {modified_ns} {changed_ns} {inode} {device}"))
}

fn of_io(error: io::Error, path: &str) -> KernelError {
    match error.kind() {
        ErrorKind::NotFound => KernelError::FileNotFound(path.to_owned()),
        _ => KernelError::generic_err(io::Error::new(error.kind(), format!("{path}: {error}"))),
    }
}

fn of_object(error: ObjectError, path: &str) -> KernelError {
    match error {
        ObjectError::NoObject => KernelError::FileNotFound(path.to_owned()),
        error => KernelError::generic_err(error),
    }
}

fn read_file(path: &Path, range: Option<Range<u64>>) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    match range {
        None => drop(file.read_to_end(&mut bytes)?),
        Some(range) => {
            bytes.resize(usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?, 0);
            file.read_exact_at(&mut bytes, range.start)?;
        }
    }
    Ok(bytes.into())
}

fn read_object(client: &Client, key: &str, range: Range<u64>) -> io::Result<Result<Bytes, ObjectError>> {
    let object = match client.find(key) {
        Ok(object) => object,
        Err(error) => return Ok(Err(error)),
    };
    let mut read = Bytes::new();
    let done = client.read(&object, &[range], &mut |_, bytes| {
        read = bytes;
        Ok(())
    })?;
    Ok(done.map(|()| read))
}

/// Calls `take` with each file below a folder, its path below `root`, when it was written in milliseconds since 1970, and its bytes.
fn walk(folder: &Path, root: &Path, take: &mut dyn FnMut(String, (i64, u64))) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let metadata = match std::fs::metadata(&path) {
            // Others write there, too: one that is gone again was none.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            walk(&path, root, take)?;
        } else if let (Some(below), false) =
            (path.strip_prefix(root).ok().and_then(Path::to_str), is_temporary(&entry.file_name().to_string_lossy()))
        {
            let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            take(below.to_owned(), (i64::try_from(modified.as_millis()).unwrap_or(i64::MAX), metadata.len()));
        }
    }
    Ok(())
}

/// Files that are being written, here and by other tools: readers of tables overlook such names.
fn is_temporary(name: &str) -> bool {
    name.starts_with('.') || name.ends_with(".tmp")
}

/// Writes a file that appears whole and lasts, unless there is one of that name.
fn create_file(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let (file, folder) = beside(path, bytes)?;
    match rename_new(file.path(), path) {
        // There is no file of that name to delete any more.
        Ok(()) => drop(file.keep()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    }
    sync_directory(folder)?;
    Ok(true)
}

/// Writes a file that appears whole and lasts, over one of that name.
fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (file, folder) = beside(path, bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_directory(folder)
}

/// A file with these bytes beside a place, and the folder of both.
fn beside<'p>(path: &'p Path, bytes: &[u8]) -> io::Result<(NamedTempFile, &'p Path)> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".flowc-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok((file, folder))
}

impl StorageHandler for Storage {
    fn list_from(&self, path: &Url) -> KernelResult<KernelResultIterator<'static, FileMeta>> {
        let relative = self.relative(path)?;
        let folder = relative.rsplit_once('/').map_or("", |(folder, _)| folder);
        let from = path.as_str().to_owned();
        let files = self.list(folder)?.into_iter().filter(move |file| file.location.as_str() > from.as_str());
        Ok(Box::new(files.map(Ok)))
    }

    fn read_files(&self, files: Vec<FileSlice>) -> KernelResult<KernelResultIterator<'static, Bytes>> {
        let this = self.clone();
        Ok(Box::new(files.into_iter().map(move |(url, range)| this.read(&url, range))))
    }

    fn copy_atomic(&self, from: &Url, to: &Url) -> KernelResult<()> {
        self.put(to, self.read(from, None)?, false)
    }

    fn put(&self, path: &Url, data: Bytes, overwrite: bool) -> KernelResult<()> {
        if overwrite {
            return self.replace(path, data);
        }
        if self.create(path, data)? { Ok(()) } else { Err(KernelError::FileAlreadyExists(path.to_string())) }
    }

    fn head(&self, path: &Url) -> KernelResult<FileMeta> {
        let relative = self.relative(path)?;
        let missing = || KernelError::FileNotFound(relative.clone());
        let folder = relative.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.list(folder)?.into_iter().find(|file| file.location == *path).ok_or_else(missing)
    }

    fn delete(&self, _: &Url) -> KernelResult<()> {
        Err(KernelError::unsupported("nothing is deleted of a table"))
    }
}
