//! Folders of running programs: a socket, and what they write. The lock of such a folder lies beside it, where the program can't reach it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowc_flight::serve::LISTEN;
use flowc_flight::{ConnectError, Connection, MEMORY, Meeting, Network, OpenFiles};
use flowc_platform::{OwnedFolder, sweep_folders};

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
    /// Where memory is shared, if it is.
    meeting: Option<Meeting>,
    folder: OwnedFolder,
}

impl Folder {
    /// A folder in `spool`, unless that makes the socket's path too long.
    pub(crate) fn make(spool: &Path) -> Result<Self, ProcessError> {
        let parent = parent(spool, std::env::temp_dir())?;
        let folder = OwnedFolder::make(&parent, PREFIX).map_err(ProcessError::io(&parent))?;
        Ok(Self { meeting: None, folder })
    }

    /// Has the program find shared memory there, and these files, where the machine can have it.
    pub(crate) fn with_shared_memory(mut self, files: Option<Arc<dyn OpenFiles>>) -> Self {
        self.meeting = Meeting::at(&self.path().join(MEETING), files).ok();
        self
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
    if let Ok(parent) = parent(spool, std::env::temp_dir()) {
        sweep_folders(&parent, PREFIX);
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

    /// Two process namespaces that share a store have the same numbers for different processes.
    #[test]
    fn a_folder_of_another_process_namespace_stays_while_its_owner_lives() {
        use std::io::{Read, Write};
        use std::process::{Command, Stdio};

        const SPOOL: &str = "FLOWC_TEST_SPOOL";
        const NAME: &str = "folder::tests::a_folder_of_another_process_namespace_stays_while_its_owner_lives";
        if let Some(spool) = std::env::var_os(SPOOL) {
            // The other side: makes a folder, says so, and waits until it is told to end.
            let folder = Folder::make(Path::new(&spool)).unwrap();
            std::fs::write(Path::new(&spool).join("made"), folder.path().to_str().unwrap()).unwrap();
            std::io::stdin().read_exact(&mut [0]).unwrap();
            return;
        }
        let spool = tempfile::tempdir_in("/tmp").unwrap();
        let this = std::env::current_exe().unwrap();
        let mut other = Command::new("unshare");
        other.args(["--user", "--map-root-user", "--pid", "--fork"]).arg(&this).args(["--exact", NAME]);
        let spawned = other.env(SPOOL, spool.path()).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut other = spawned.unwrap();
        let made = spool.path().join("made");
        while !made.exists() {
            assert!(other.try_wait().unwrap().is_none(), "no other namespace could be had");
            std::thread::sleep(Duration::from_millis(10));
        }
        let folder = loop {
            let text = std::fs::read_to_string(&made).unwrap();
            if !text.is_empty() {
                break PathBuf::from(text);
            }
        };
        sweep(spool.path());
        assert!(folder.exists());
        other.stdin.take().unwrap().write_all(b"!").unwrap();
        assert!(other.wait().unwrap().success());
        assert!(!folder.exists());
    }
}
