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
    numbers: HashMap<PathBuf, u64>,
    next: u64,
}

impl Handed {
    /// None yet.
    pub(super) fn new(files: Arc<dyn OpenFiles>) -> Self {
        Self { files, numbers: HashMap::new(), next: 0 }
    }

    /// The number by which the program knows a file, which is sent if it does not have it.
    pub(super) fn number(&mut self, path: &Path, socket: &UnixStream) -> io::Result<u64> {
        if let Some(number) = self.numbers.get(path) {
            return Ok(*number);
        }
        let (file, number) = (self.files.open(path)?, self.next % MOST);
        send_files(socket, &(FILE | number).to_le_bytes(), &[file.as_fd()])?;
        self.next += 1;
        self.numbers.retain(|_, taken| *taken != number);
        self.numbers.insert(path.to_owned(), number);
        Ok(number)
    }
}
