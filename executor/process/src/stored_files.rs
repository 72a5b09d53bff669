//! Stored files for programs, through a broker that is started when the first one is asked for.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flowc_flight::OpenFiles;
use flowc_platform::lock;
use flowc_sandbox::ReadOnlyFdBroker;

/// Opens the files of one folder for programs, which can't change them.
#[derive(Debug)]
pub(crate) struct StoredFiles {
    helper: PathBuf,
    folder: PathBuf,
    broker: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Unused,
    Started(ReadOnlyFdBroker),
    /// This machine allows none.
    Refused,
}

impl StoredFiles {
    /// `helper` is a program that calls [`flowc_sandbox::main`] first thing.
    pub(crate) fn new(helper: PathBuf, folder: PathBuf) -> Self {
        Self { helper, folder, broker: Mutex::new(State::Unused) }
    }
}

impl OpenFiles for StoredFiles {
    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let elsewhere = || io::Error::from(io::ErrorKind::NotFound);
        let path = std::path::absolute(path)?;
        let name = path.strip_prefix(&self.folder).ok().and_then(Path::to_str).ok_or_else(elsewhere)?;
        let mut state = lock(&self.broker);
        if matches!(*state, State::Unused) {
            *state = ReadOnlyFdBroker::new(&self.helper, &self.folder).map_or(State::Refused, State::Started);
        }
        let State::Started(broker) = &mut *state else { return Err(io::ErrorKind::Unsupported.into()) };
        let opened = broker.file(name);
        if opened.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            *state = State::Refused;
        }
        opened
    }
}
