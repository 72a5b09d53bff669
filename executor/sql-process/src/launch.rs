//! How the program is found and started.

use std::path::PathBuf;
use std::sync::Arc;

use flowc_code::{Entry, Evidence};
use flowc_planner::catalogue::Problem;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Limits;
use flowc_platform::FileStamp;
use flowc_process::{Folder, Host, IsolationBackend, Launch, LaunchError, Launcher, PROCESSES, Server};
use flowc_runner::{CodeContext, Keep};
use flowc_sandbox::Sandbox;

use crate::query::Query;

/// The name of the program's file.
pub const PROGRAM: &str = "flowc-sql";

/// Bytes that the program takes beside what a query may use: code, batches on their way, and stacks of threads.
const ENGINE: u64 = 384 << 20;

/// The program that serves SQL stages. What a query gives depends on all of it, so its digest is in each stage's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Engine {
    /// Its file.
    pub path: PathBuf,
    /// BLAKE3 of the file.
    pub digest: [u8; 32],
    /// What the file system says of it.
    stamp: Option<FileStamp>,
}

impl Engine {
    /// The program beside flowc, for queries whose results are not kept: nothing depends on which one it is.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn beside(host: &Host) -> Result<Self, Problem> {
        let path = host.helper().with_file_name(PROGRAM);
        if !path.is_file() {
            return Err(missing(&path));
        }
        Ok(Self::unread(path))
    }

    /// A program that is started before its digest is known.
    fn unread(path: PathBuf) -> Self {
        let stamp = FileStamp::of(&path).ok();
        Self { path, digest: [0; 32], stamp }
    }

    /// The program beside flowc, and by what a later run sees that it is the same. Where all of it has to be read, which takes as long as
    /// starting it, `start` is called meanwhile.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn find(
        host: &Host,
        context: &dyn CodeContext,
        start: impl Fn(Self) + Sync,
    ) -> Result<(Self, Evidence), Problem> {
        let path = host.helper().with_file_name(PROGRAM);
        let mut evidence = Evidence::default();
        evidence.look(&path);
        let folder = path.parent().unwrap_or(&path).to_owned();
        let file = context.read(&folder, Keep::Nothing, |reader| {
            std::thread::scope(|scope| {
                if !reader.knows(&path) {
                    let unread = Self::unread(path.clone());
                    let _ = std::thread::Builder::new().spawn_scoped(scope, || start(unread));
                }
                reader.file(&path)
            })
        });
        match file.map_err(|error| Problem::of_machine(error.to_string()))? {
            Some(Entry::File { digest, .. }) => Ok((Self { digest, ..Self::unread(path) }, evidence)),
            _ => Err(missing(&path)),
        }
    }
}

fn missing(path: &std::path::Path) -> Problem {
    let folder = path.parent().unwrap_or(path).display();
    Problem::of_machine(format!("SQL stages run in the program `{PROGRAM}`, which is not beside flowc in {folder}"))
        .with_help(format!("build it with `cargo build --release -p {PROGRAM}`, or install a flowc that comes with it"))
}

/// A query that is registered.
#[derive(Clone, Debug)]
pub struct SqlLaunch {
    pub(crate) digest: StageDigest,
    pub(crate) query: Query,
    pub(crate) engine: Engine,
}

impl Launch for SqlLaunch {
    fn digest(&self) -> StageDigest {
        self.digest
    }

    fn entry(&self) -> String {
        self.query.name()
    }
}

/// What makes programs alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SqlKey {
    path: PathBuf,
    /// Programs may wait while their file is replaced.
    stamp: Option<FileStamp>,
    memory: Option<u64>,
    backend: IsolationBackend,
}

/// Starts the program. Cheap to make.
pub struct SqlLauncher {
    pub(crate) host: Arc<Host>,
}

impl SqlLauncher {
    fn sandbox(engine: &Engine, limits: &Limits, folder: &Folder) -> Sandbox {
        Sandbox {
            args: Vec::new(),
            env: folder.variables(folder.path()),
            folder: folder.path().to_owned(),
            readable: vec![engine.path.clone()],
            writable: vec![folder.path().to_owned()],
            memory: limits.memory.map(|bytes| bytes.saturating_add(ENGINE)),
            processors: Vec::new(),
            processes: PROCESSES,
            network: false,
            program: engine.path.clone(),
        }
    }
}

impl Launcher for SqlLauncher {
    type Launch = SqlLaunch;
    type Key = SqlKey;

    fn key(&self, launch: &SqlLaunch, limits: &Limits) -> SqlKey {
        let Engine { path, digest: _, stamp } = launch.engine.clone();
        SqlKey { path, stamp, memory: limits.memory, backend: limits.isolate.into() }
    }

    fn start(
        &self,
        launch: &SqlLaunch,
        limits: &Limits,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, LaunchError> {
        let folder = self.host.folder()?;
        let sandbox = Self::sandbox(&launch.engine, limits, &folder);
        // How many processors there are shows in no result.
        Ok(self.host.start(sandbox, self.host.processors(), folder, limits.isolate.into(), is_wanted)?)
    }

    /// An invocation is one query.
    fn chains(&self) -> bool {
        false
    }
}
