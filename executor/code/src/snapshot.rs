//! Copies of trees that nobody changes, by their digests.
//!
//! ```text
//! files/3f9a…      contents, each once, whatever trees hold them; `x` at the end of those that may be executed
//! 7c01…/           a tree: folders, links, and hard links to contents
//! ```
//!
//! Contents come here while they are hashed. A tree is put together when something is to run it, and is made durable before it gets
//! its name. Files have one fixed time: a content that was written to has another, and is read again. A tree is compared with its
//! digest before it is first used in a process, and one that is damaged is made again.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use flowc_platform::{exchange, lock, rename_new, sync_filesystem};
use tempfile::TempDir;

use crate::exact::{exact_digest, exact_entry};
use crate::{CodeError, Digests, Entry, PipelineFiles, Reader, Tree};

/// The folder of contents, beside the trees.
pub const FILES: &str = "files";

/// A folder of snapshots, shared by several processes.
#[derive(Clone, Debug)]
pub struct Snapshots {
    home: PathBuf,
    /// Trees that were compared with their digests.
    checked: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Snapshots {
    /// Those below a folder, which is made when it is needed.
    pub fn new(home: PathBuf) -> Self {
        Self { home, checked: Arc::default() }
    }

    /// The folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The name of a tree's snapshot.
    pub fn name(tree: &Tree) -> String {
        hex(&tree.digest())
    }

    /// Where the snapshot of a tree is, or would be.
    pub fn place(&self, tree: &Tree) -> PathBuf {
        self.home.join(Self::name(tree))
    }

    /// The snapshot of a tree, whose files were read with these snapshots; it is put together if it is not there, or not as it was
    /// made. Of a damaged content the author's file is read again.
    ///
    /// # Errors
    /// If it can't be written, or if a content is damaged and the author's file has changed meanwhile.
    pub fn make(&self, tree: &Tree) -> Result<PathBuf, CodeError> {
        let place = self.place(tree);
        let mut checked = lock(&self.checked);
        if !checked.contains(&place) {
            if !is_exact(&place, tree) {
                self.put(tree, &place)?;
            }
            checked.insert(place.clone());
        }
        Ok(place)
    }

    /// Puts a tree together, whatever is in its place.
    fn put(&self, tree: &Tree, place: &Path) -> Result<(), CodeError> {
        let building = match self.built(tree) {
            Ok(building) if is_exact(building.path(), tree) => building,
            _ => {
                self.restore(tree, |_| true)?;
                self.built(tree)?
            }
        };
        sync_filesystem(building.path()).map_err(CodeError::io(building.path()))?;
        match rename_new(building.path(), place) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_exact(place, tree) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                exchange(building.path(), place).map_err(CodeError::io(place))
            }
            renamed => {
                renamed.map_err(CodeError::io(place))?;
                let _ = building.keep();
                Ok(())
            }
        }
    }

    fn built(&self, tree: &Tree) -> Result<TempDir, CodeError> {
        let building = tempfile::tempdir_in(&self.home).map_err(CodeError::io(&self.home))?;
        self.fill(tree, |_| true, building.path(), |kept, to, _| link(kept, to))?;
        fs::set_permissions(building.path(), Permissions::from_mode(0o755)).map_err(CodeError::io(building.path()))?;
        Ok(building)
    }

    /// Reads the files again whose contents are damaged or not there.
    fn restore(&self, tree: &Tree, is_wanted: impl Fn(&Path) -> bool) -> Result<(), CodeError> {
        for (path, entry) in tree.entries.iter().filter(|(path, _)| is_wanted(path)) {
            if let Entry::File { digest, executable, .. } = entry {
                self.restored(digest, *executable, &tree.base.join(path))?;
            }
        }
        Ok(())
    }

    /// Where the content of the author's file `from` is kept, as it was hashed. All of its bytes are compared with the digest; if it is
    /// damaged or not there, the file is read again.
    ///
    /// # Errors
    /// If that can't be read or kept, or has changed meanwhile.
    pub fn restored(&self, digest: &[u8; 32], executable: bool, from: &Path) -> Result<PathBuf, CodeError> {
        let is_it = |found: &Entry| match found {
            Entry::File { digest: other, executable: other_executable, .. } => {
                other == digest && *other_executable == executable
            }
            _ => false,
        };
        let kept = self.file(digest, executable);
        if exact_entry(&kept).is_ok_and(|found| is_it(&found)) {
            return Ok(kept);
        }
        match fs::remove_file(&kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(CodeError::io(&kept)(error)),
            _ => {}
        }
        let files = PipelineFiles::default();
        let read = Reader::new(&files, Some(self), Digests::default()).file(from)?;
        match read.is_some_and(|read| is_it(&read)) {
            true => Ok(kept),
            false => Err(CodeError::Damaged { path: from.to_owned() }),
        }
    }

    /// Copies the entries that are wanted into a folder, to be written to. Of a damaged content the author's file is read again.
    ///
    /// # Errors
    /// If a file can't be written, or if a content is damaged and the author's file has changed meanwhile.
    pub fn copy(&self, tree: &Tree, is_wanted: impl Fn(&Path) -> bool, to: &Path) -> Result<(), CodeError> {
        self.restore(tree, &is_wanted)?;
        self.fill(tree, is_wanted, to, |kept, to, executable| {
            fs::copy(kept, to)?;
            let file = File::open(to)?;
            file.set_permissions(Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
            file.set_modified(SystemTime::now())
        })
    }

    fn fill(
        &self,
        tree: &Tree,
        is_wanted: impl Fn(&Path) -> bool,
        folder: &Path,
        file: impl Fn(&Path, &Path, bool) -> io::Result<()>,
    ) -> Result<(), CodeError> {
        for (path, entry) in tree.entries.iter().filter(|(path, _)| is_wanted(path)) {
            let to = folder.join(path);
            let above = to.parent().unwrap_or(folder);
            let made = fs::create_dir_all(above).and_then(|()| match entry {
                Entry::Folder => fs::create_dir_all(&to),
                Entry::Link { to: target } => symlink(target, &to),
                Entry::File { digest, executable, .. } => file(&self.file(digest, *executable), &to, *executable),
            });
            made.map_err(CodeError::io(&to))?;
        }
        Ok(())
    }

    /// The folder of contents.
    pub(crate) fn files(&self) -> Result<PathBuf, CodeError> {
        let files = self.home.join(FILES);
        fs::create_dir_all(&files).map_err(CodeError::io(&files))?;
        Ok(files)
    }

    /// Where the content of a file is kept, or would be.
    pub fn file(&self, digest: &[u8; 32], executable: bool) -> PathBuf {
        self.home.join(FILES).join(format!("{}{}", hex(digest), if executable { "x" } else { "" }))
    }

    /// Whether the content of a file is kept.
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        match entry {
            Entry::File { digest, executable, .. } => is_sealed(&self.file(digest, *executable), entry),
            Entry::Folder | Entry::Link { .. } => true,
        }
    }

    /// Contents and trees that are not what their names say, by all of their bytes.
    pub fn damaged(&self) -> Vec<PathBuf> {
        let is_tree = |name: &str| name.len() == 64;
        let is_content = |path: &Path, name: &str| match exact_entry(path) {
            Ok(Entry::File { digest, executable, .. }) => self.file(&digest, executable).ends_with(name),
            _ => false,
        };
        let is_whole = |path: &Path, name: &str| exact_digest(path, |_| true).is_ok_and(|found| hex(&found) == name);
        let files = self.home.join(FILES);
        let contents = named(&files).filter(|(name, _)| name.trim_end_matches('x').len() == 64);
        let damaged = contents.filter(|(name, path)| !is_content(path, name));
        let trees = named(&self.home).filter(|(name, _)| is_tree(name));
        damaged.chain(trees.filter(|(name, path)| !is_whole(path, name))).map(|(_, path)| path).collect()
    }

    /// The time of all files.
    pub(crate) fn time() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1)
    }
}

/// What is in a folder, with its names.
fn named(folder: &Path) -> impl Iterator<Item = (String, PathBuf)> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

/// Hard links are cheap, but a file can have only so many.
fn link(kept: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(kept, to) {
        Err(error) if error.kind() == io::ErrorKind::TooManyLinks => {
            fs::copy(kept, to)?;
            File::open(to)?.set_modified(Snapshots::time())
        }
        linked => linked,
    }
}

/// Whether a folder holds a tree, by all of its bytes.
fn is_exact(folder: &Path, tree: &Tree) -> bool {
    exact_digest(folder, |_| true).is_ok_and(|digest| digest == tree.digest())
}

/// Whether the content of a file is as it was kept, by its size and its time.
fn is_sealed(path: &Path, entry: &Entry) -> bool {
    let (Entry::File { size, .. }, Ok(metadata)) = (entry, path.symlink_metadata()) else { return false };
    metadata.is_file() && metadata.len() == *size && metadata.modified().ok() == Some(Snapshots::time())
}

fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}
