//! A running process that serves the stages of a project.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use flowc_flight::{Connection, Ending, Network};
use flowc_planner::plan::is_server;
use flowc_sandbox::{Printed, Sandbox, describe};
use tempfile::TempDir;

use crate::runner::{Launch, Places};
use crate::{PythonError, sdk};

/// How long a process may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the end of a process may come after that of its connection.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Bytes that an interpreter with Arrow may take for itself, beside the stage's own: code, and stacks of some 30 threads.
const INTERPRETER: u64 = 512 << 20;
/// Processes and threads of a stage.
const PROCESSES: u64 = 512;
/// How the names of folders begin.
const FOLDER: &str = "flowc-python-";
/// What a Unix socket's path may have, less its name.
const LONGEST_FOLDER: usize = 75;

/// A process. Dropping it ends it, and all that it started.
pub(crate) struct Process {
    child: Child,
    connection: Connection,
    printed: Printed,
    /// Its socket and its temporary files.
    _folder: TempDir,
}

impl Process {
    /// Starts one and waits until it listens.
    pub(crate) fn start(
        launch: &Launch,
        memory: Option<u64>,
        places: &Places,
        network: &Network,
    ) -> Result<Self, PythonError> {
        let folder = folder(&places.spool)?;
        let sdk = sdk::unpack(&places.home)?;
        let sandbox = sandbox(launch, memory, folder.path(), &sdk);
        let mut child = sandbox.spawn(&places.helper).map_err(PythonError::io(&places.helper))?;
        let printed = Printed::default();
        let pipes = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        let listen = pipes.into_iter().flatten().try_for_each(|pipe| printed.listen(pipe));
        listen.map_err(PythonError::io(&places.helper))?;
        let connection = network.connect(&socket(folder.path()), PATIENCE, || matches!(child.try_wait(), Ok(None)));
        match connection {
            Ok(connection) => Ok(Self { child, connection, printed, _folder: folder }),
            Err(error) => {
                let reason = error.to_string();
                let status = end(&mut child);
                let words = printed.take().join("\n");
                let how = status.map_or_else(String::new, describe);
                Err(PythonError::Start { reason: format!("{reason} ({how})\n{words}").trim_end().to_owned() })
            }
        }
    }

    /// The way to it.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Lines that it printed since this was asked last.
    pub(crate) fn printed(&mut self) -> Vec<String> {
        self.printed.take()
    }

    /// How it ended; waits a moment for that.
    pub(crate) fn ended(&mut self) -> Option<Ending> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(Ending::Other(describe(status))),
                Ok(None) if start.elapsed() < AFTERWARDS => std::thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Ends a sandbox: with its standard input, so that it can end what the program started.
fn end(child: &mut Child) -> Option<ExitStatus> {
    drop(child.stdin.take());
    child.wait().ok()
}

/// A folder for a socket: in the store's, unless that makes its path too long. It is named after this process, so that
/// others can tell when nobody needs it any more.
fn folder(spool: &Path) -> Result<TempDir, PythonError> {
    let parent = parent(spool)?;
    let prefix = format!("{FOLDER}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(&parent).map_err(PythonError::io(&parent))
}

fn parent(spool: &Path) -> Result<PathBuf, PythonError> {
    let fallback = std::env::temp_dir();
    let is_short = |folder: &Path| folder.as_os_str().len() < LONGEST_FOLDER;
    match (is_short(spool), is_short(&fallback)) {
        (true, _) => Ok(spool.to_owned()),
        (false, true) => Ok(fallback),
        (false, false) => Err(PythonError::LongPath { folder: fallback }),
    }
}

/// Removes the folders of processes that were killed.
pub(crate) fn sweep(spool: &Path) {
    let entries = parent(spool).ok().and_then(|parent| std::fs::read_dir(parent).ok());
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(FOLDER).and_then(|rest| rest.split('-').next()).filter(|pid| !pid.is_empty());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another process may be about the same.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("s")
}

/// What the process may reach: its interpreter, its packages, its sources, the SDK, and a folder for temporary files.
fn sandbox(launch: &Launch, memory: Option<u64>, folder: &Path, sdk: &Path) -> Sandbox {
    let Launch { project, environment, entry } = launch;
    let sources = project.dir.to_string_lossy().into_owned();
    let serve = match is_server(entry) {
        true => vec!["-s".to_owned(), format!("{sources}/{entry}")],
        false => vec!["-s".to_owned(), "-m".to_owned(), "flowc.serve".to_owned(), sources],
    };
    let interpreter = &project.interpreter;
    // Its file may be known by another name.
    let alias = interpreter.path.ancestors().nth(2).unwrap_or(&interpreter.path);
    let readable = [&interpreter.prefix, alias, environment, &project.dir, sdk];
    Sandbox {
        program: environment.join("bin").join("python"),
        args: serve,
        env: variables(environment, folder, sdk),
        folder: folder.to_owned(),
        readable: readable.map(Path::to_owned).to_vec(),
        writable: vec![folder.to_owned()],
        memory: memory.map(|bytes| bytes.saturating_add(INTERPRETER)),
        processes: PROCESSES,
    }
}

/// The environment: nothing of the user's. One thread for libraries that have pools of them, since sums of floats depend
/// on how many there are; flowc runs several processes instead.
fn variables(environment: &Path, folder: &Path, sdk: &Path) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (folder_text, sdk) = (text(folder), text(sdk));
    let path = format!("{}:/usr/bin:/bin", text(&environment.join("bin")));
    let listen = format!("grpc+unix://{}", text(&socket(folder)));
    let fixed = [
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONFAULTHANDLER", "1"),
        ("PYTHONUNBUFFERED", "1"),
        ("OMP_NUM_THREADS", "1"),
        ("OPENBLAS_NUM_THREADS", "1"),
        ("MKL_NUM_THREADS", "1"),
        ("POLARS_MAX_THREADS", "1"),
    ];
    let own = [
        ("PATH", &path),
        ("HOME", &folder_text),
        ("TMPDIR", &folder_text),
        ("PYTHONPATH", &sdk),
        ("FLOWC_LISTEN", &listen),
    ];
    let own = own.into_iter().map(|(name, value)| (name, value.as_str()));
    own.chain(fixed).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
