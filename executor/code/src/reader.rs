//! Reads files of code: in pieces, once while their stamps stand, and into the store on the way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use flowc_platform::{FileStamp, open_without_waiting};
use serde::{Deserialize, Serialize};

use crate::snapshot::Snapshots;
use crate::{CodeError, Entry, PipelineFiles, Rules};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 18;
/// How often a file is read that is written to meanwhile.
const TRIES: usize = 5;

/// What is known of files' contents, by their stamps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests(BTreeMap<String, (FileStamp, [u8; 32])>);

/// How code is read.
pub struct Reader<'a> {
    /// What the pipeline itself reads and writes, which is no code.
    pub(crate) pipeline: &'a PipelineFiles,
    /// Where contents are kept; nowhere if the store can't be written.
    pub(crate) snapshots: Option<&'a Snapshots>,
    known: Digests,
    /// What was read, as it is to be known next time.
    seen: RefCell<Digests>,
}

impl<'a> Reader<'a> {
    /// A reader that knows contents from earlier.
    pub fn new(pipeline: &'a PipelineFiles, snapshots: Option<&'a Snapshots>, known: Digests) -> Self {
        Self { pipeline, snapshots, known, seen: RefCell::default() }
    }

    /// Whether something in a folder is no code: what tools make, and what the pipeline itself reads and writes.
    pub fn passes_over(&self, path: &Path) -> bool {
        let name = Path::new(path.file_name().unwrap_or_default());
        Rules::default().pass_over(name, path, path.is_dir()) || self.pipeline.contains(path)
    }

    /// Where contents are kept, if they are.
    pub fn snapshots(&self) -> Option<&Snapshots> {
        self.snapshots
    }

    /// What is known of all files that were read, if that is more or other than was known before.
    pub fn learned(self) -> Option<Digests> {
        Some(self.seen.into_inner()).filter(|seen| *seen != self.known)
    }

    /// Whether a file's content is known as it is now, so that it need not be read.
    pub fn knows(&self, path: &Path) -> bool {
        FileStamp::of(path).is_ok_and(|stamp| self.known_digest(path, &stamp).is_some())
    }

    /// Reads a file; none if there is no file any more.
    ///
    /// # Errors
    /// If it can't be read, can't be kept, or is written to all the time.
    pub fn file(&self, path: &Path) -> Result<Option<Entry>, CodeError> {
        for _ in 0..TRIES {
            // A pipe may have been put in the file's place.
            let mut file = match open_without_waiting(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => opened.map_err(CodeError::io(path))?,
            };
            let began = SystemTime::now();
            let metadata = file.metadata().map_err(CodeError::io(path))?;
            if !metadata.is_file() {
                return Ok(None);
            }
            let stamp = FileStamp::from_metadata(&metadata);
            let executable = metadata.permissions().mode() & 0o100 != 0;
            let entry = |digest| Entry::File { digest, size: stamp.size, executable };
            if let Some(digest) = self.known_digest(path, &stamp)
                && self.snapshots.is_none_or(|kept| kept.has(&entry(digest)))
            {
                self.learn(path, stamp, digest, began);
                return Ok(Some(entry(digest)));
            }
            let digest = self.read(&mut file, executable, path)?;
            if FileStamp::of_file(&file).is_ok_and(|after| after == stamp) {
                self.learn(path, stamp, digest, began);
                return Ok(Some(entry(digest)));
            }
        }
        Err(CodeError::Changing { path: path.to_owned() })
    }

    fn known_digest(&self, path: &Path, stamp: &FileStamp) -> Option<[u8; 32]> {
        let path = path.to_str()?;
        let seen = self.seen.borrow();
        let (known, digest) = seen.0.get(path).or_else(|| self.known.0.get(path))?;
        (known == stamp).then_some(*digest)
    }

    /// A file that was written just before may be written again without its stamp moving.
    fn learn(&self, path: &Path, stamp: FileStamp, digest: [u8; 32], began: SystemTime) {
        if let Some(path) = path.to_str().filter(|_| !stamp.is_racy(began)) {
            self.seen.borrow_mut().0.insert(path.to_owned(), (stamp, digest));
        }
    }

    /// Reads to the end; keeps what it reads, so that what is kept is what was hashed.
    fn read(&self, file: &mut File, executable: bool, path: &Path) -> Result<[u8; 32], CodeError> {
        let Some(snapshots) = self.snapshots else {
            return hashed(file, &mut io::sink()).map_err(CodeError::io(path));
        };
        let folder = snapshots.files()?;
        let mut kept = tempfile::NamedTempFile::new_in(&folder).map_err(CodeError::io(&folder))?;
        let digest = hashed(file, kept.as_file_mut()).map_err(CodeError::io(path))?;
        let size = kept.as_file().metadata().map_err(CodeError::io(kept.path()))?.len();
        if snapshots.has(&Entry::File { digest, size, executable }) {
            return Ok(digest);
        }
        let mode = if executable { 0o555 } else { 0o444 };
        let sealed = kept.as_file().set_permissions(Permissions::from_mode(mode));
        sealed.and_then(|()| kept.as_file().set_modified(Snapshots::time())).map_err(CodeError::io(kept.path()))?;
        let place = snapshots.file(&digest, executable);
        kept.persist(&place).map_err(|error| CodeError::io(&place)(error.error))?;
        Ok(digest)
    }
}

fn hashed(from: &mut File, to: &mut impl Write) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(*hasher.finalize().as_bytes()),
            read => {
                hasher.update(&piece[..read]);
                to.write_all(&piece[..read])?;
            }
        }
    }
}
