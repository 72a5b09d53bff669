//! Folders of running programs: a socket, and what they write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowc_flight::serve::LISTEN;
use flowc_flight::{ConnectError, Connection, MEMORY, Meeting, Network, OpenFiles};
use tempfile::TempDir;

use crate::ProcessError;

/// How the names of folders begin.
const PREFIX: &str = "flowc-stage-";
/// What a Unix socket's path may have, less its name.
const LONGEST: usize = 75;

/// The name of the socket where the program listens.
const SOCKET: &str = "s";
/// The name of the one where it may ask for shared memory.
const MEETING: &str = "m";

/// A folder of one program. Dropping it removes it.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
    /// Where memory is shared, if it is.
    meeting: Option<Meeting>,
}

impl Folder {
    /// A folder in `spool`, unless that makes the socket's path too long. It is named after this process, so that others can
    /// tell when nobody needs it any more.
    pub(crate) fn make(spool: &Path) -> Result<Self, ProcessError> {
        let parent = parent(spool, std::env::temp_dir())?;
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).map_err(ProcessError::io(&parent))?;
        Ok(Self { folder, meeting: None })
    }

    /// Has the program find shared memory there, and these files, where the machine can have it.
    pub(crate) fn with_shared_memory(self, files: Option<Arc<dyn OpenFiles>>) -> Self {
        let meeting = Meeting::at(&self.path().join(MEETING), files).ok();
        Self { meeting, ..self }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the program's environment says of where to listen, if it sees the folder under this path.
    pub fn variables(&self, path: &Path) -> BTreeMap<String, String> {
        let at = |name: &str| path.join(name).to_string_lossy().into_owned();
        let listen = (LISTEN.to_owned(), format!("grpc+unix://{}", at(SOCKET)));
        let memory = self.meeting.as_ref().map(|_| (MEMORY.to_owned(), at(MEETING)));
        [listen].into_iter().chain(memory).collect()
    }

    /// Connects to the program, which listens or soon will.
    ///
    /// # Errors
    /// If it does not listen in time, or `is_alive` says that it will not.
    pub fn connect(
        &self,
        network: &Network,
        patience: Duration,
        is_alive: impl FnMut() -> bool,
    ) -> Result<Connection, ConnectError> {
        network.connect(&self.path().join(SOCKET), self.meeting.as_ref(), patience, is_alive)
    }
}

/// The first of these whose path leaves room for a socket's name.
fn parent(spool: &Path, fallback: PathBuf) -> Result<PathBuf, ProcessError> {
    let is_short = |folder: &Path| folder.as_os_str().len() < LONGEST;
    match (is_short(spool), is_short(&fallback)) {
        (true, _) => Ok(spool.to_owned()),
        (false, true) => Ok(fallback),
        (false, false) => Err(ProcessError::LongPath { folder: fallback }),
    }
}

/// Removes the folders of processes that were killed.
pub(crate) fn sweep(spool: &Path) {
    let entries = parent(spool, std::env::temp_dir()).ok().and_then(|parent| std::fs::read_dir(parent).ok());
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).filter(|pid| !pid.is_empty());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may be about the same.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_too_long_for_a_socket_is_not_used() {
        let (short, long) = (Path::new("/tmp/spool"), PathBuf::from(format!("/{}", "a".repeat(LONGEST))));
        assert_eq!(parent(short, long.clone()).unwrap(), short);
        assert_eq!(parent(&long, short.to_owned()).unwrap(), short);
        let error = parent(&long, long.clone()).unwrap_err().to_string();
        assert!(error.contains("more than 75 bytes; set TMPDIR to a shorter one") && error.contains("/aaa"), "{error}");
    }
}
