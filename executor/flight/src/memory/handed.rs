//! Files of flowc's store that programs map, on flowc's side: which of them a program has.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_platform::send_files;

/// Marks a message that brings a file, among those that give back blocks.
pub(super) const FILE: u64 = 1 << 63;
/// Files that a program has mapped at once.
const MOST: u64 = 64;
/// The last so many keep their numbers whatever comes: more than the files of one invocation, which are at most those of the
/// partials that are merged at once.
const LATEST: u64 = 32;

/// Opens files such that programs can't change them.
pub trait OpenFiles: Debug + Send + Sync {
    /// Opens one for reading.
    ///
    /// # Errors
    /// If that is not possible on this machine.
    fn open(&self, path: &Path) -> io::Result<OwnedFd>;
}

/// The files that a program was handed, by their numbers.
#[derive(Debug)]
pub(super) struct Handed {
    files: Arc<dyn OpenFiles>,
    /// How many had been handed over before each.
    given: HashMap<PathBuf, u64>,
    next: u64,
}

impl Handed {
    /// None yet.
    pub(super) fn new(files: Arc<dyn OpenFiles>) -> Self {
        Self { files, given: HashMap::new(), next: 0 }
    }

    /// The number by which the program knows a file, which is sent if it does not have it, or if its number might be given to
    /// another one before messages with it are read.
    pub(super) fn number(&mut self, path: &Path, socket: &UnixStream) -> io::Result<u64> {
        if let Some(&given) = self.given.get(path)
            && self.next - given < MOST - LATEST
        {
            return Ok(given % MOST);
        }
        let (file, given) = (self.files.open(path)?, self.next);
        send_files(socket, &(FILE | (given % MOST)).to_le_bytes(), &[file.as_fd()])?;
        self.next += 1;
        self.given.retain(|_, other| self.next - *other <= MOST);
        self.given.insert(path.to_owned(), given);
        Ok(given % MOST)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[derive(Debug)]
    struct Null;

    impl OpenFiles for Null {
        fn open(&self, _: &Path) -> io::Result<OwnedFd> {
            File::open("/dev/null").map(OwnedFd::from)
        }
    }

    #[test]
    fn a_number_in_use_is_not_given_to_another_file() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut handed = Handed::new(Arc::new(Null));
        let mut number = |file: u64| handed.number(Path::new(&file.to_string()), &ours).unwrap();
        for file in 0..4 {
            let given = number(file);
            assert_eq!(number(file), given, "what has just been sent is not sent again");
            // Those that one invocation may add before it is read.
            assert!((1..LATEST).all(|more| number(1000 + file * LATEST + more) != given), "{file}");
        }
    }
}
