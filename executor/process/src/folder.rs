//! Folders of running programs: a socket, and what they write.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::ProcessError;

/// How the names of folders begin.
const PREFIX: &str = "flowc-stage-";
/// What a Unix socket's path may have, less its name.
const LONGEST: usize = 75;

/// A folder of one program. Dropping it removes it.
#[derive(Debug)]
pub struct Folder(TempDir);

impl Folder {
    /// A folder in `spool`, unless that makes the socket's path too long. It is named after this process, so that others can
    /// tell when nobody needs it any more.
    pub(crate) fn make(spool: &Path) -> Result<Self, ProcessError> {
        let parent = parent(spool)?;
        let prefix = format!("{PREFIX}{}-", std::process::id());
        tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).map(Self).map_err(ProcessError::io(&parent))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the program listens.
    pub fn socket(&self) -> PathBuf {
        self.path().join("s")
    }

    /// The same, as `FLOWC_LISTEN` says it.
    pub fn location(&self) -> String {
        format!("grpc+unix://{}", self.socket().to_string_lossy())
    }
}

fn parent(spool: &Path) -> Result<PathBuf, ProcessError> {
    let fallback = std::env::temp_dir();
    let is_short = |folder: &Path| folder.as_os_str().len() < LONGEST;
    match (is_short(spool), is_short(&fallback)) {
        (true, _) => Ok(spool.to_owned()),
        (false, true) => Ok(fallback),
        (false, false) => Err(ProcessError::LongPath { folder: fallback }),
    }
}

/// Removes the folders of processes that were killed.
pub(crate) fn sweep(spool: &Path) {
    let entries = parent(spool).ok().and_then(|parent| std::fs::read_dir(parent).ok());
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).filter(|pid| !pid.is_empty());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may be about the same.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
