//! How a stage's process is started: what it may reach, and what it is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Limits, is_server};
use flowc_process::{Folder, IsolationBackend, PROCESSES};
use flowc_sandbox::Sandbox;

use crate::{Environments, Project};

/// Bytes that an interpreter with Arrow may take for itself, beside the stage's own: code, and stacks of some 30 threads.
const INTERPRETER: u64 = 512 << 20;

/// How a stage is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its sources and its interpreter.
    pub project: Project,
    /// `module:name`, `module`, or nothing for the module `stage`; or a program that serves the protocol by itself.
    pub entry: String,
}

impl flowc_process::Launch for Launch {
    fn digest(&self) -> StageDigest {
        self.project.digest(&self.entry)
    }

    fn entry(&self) -> String {
        self.entry.clone()
    }

    fn runner(&self) -> BTreeMap<String, String> {
        self.project.runner()
    }
}

/// What makes processes alike: any of them can do the work of any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProcessKey {
    /// The snapshot of the sources.
    sources: PathBuf,
    /// The packages.
    environment: PathBuf,
    /// A program that serves by itself, if it is one.
    server: Option<String>,
    /// The limits.
    memory: Option<u64>,
    processors: u32,
    /// What keeps it from the machine.
    backend: IsolationBackend,
}

impl ProcessKey {
    /// That of a stage's process with these limits.
    pub(crate) fn of(launch: &Launch, environments: &Environments, limits: &Limits) -> Self {
        let Launch { project, entry } = launch;
        Self {
            sources: environments.snapshots.place(project.tree()),
            environment: environments.place(project),
            server: is_server(entry).then(|| entry.clone()),
            memory: limits.memory,
            processors: limits.processors(),
            backend: limits.isolate.into(),
        }
    }
}

/// What was made for a stage's process.
pub(crate) struct Made {
    /// Its packages.
    pub(crate) environment: PathBuf,
    /// The snapshot of its sources.
    pub(crate) snapshot: PathBuf,
    /// The SDK.
    pub(crate) sdk: PathBuf,
}

/// What the process may reach: its interpreter, its packages, its sources, the SDK, and a folder for temporary files.
pub(crate) fn sandbox(launch: &Launch, made: &Made, limits: &Limits, folder: &Folder) -> Sandbox {
    let Launch { project, entry } = launch;
    let Made { environment, snapshot, sdk } = made;
    let sources = project.within(snapshot).to_string_lossy().into_owned();
    let serve = match is_server(entry) {
        true => vec!["-s".to_owned(), format!("{sources}/{entry}")],
        false => vec!["-s".to_owned(), "-m".to_owned(), "flowc.serve".to_owned(), sources],
    };
    let interpreter = &project.interpreter;
    // Its file may be known by another name.
    let alias = interpreter.path.ancestors().nth(2).unwrap_or(&interpreter.path);
    let readable = [interpreter.prefix.as_path(), alias, environment, snapshot, sdk];
    Sandbox {
        program: environment.join("bin").join("python"),
        args: serve,
        env: variables(environment, limits.processors(), folder, sdk),
        folder: folder.path().to_owned(),
        readable: readable.map(Path::to_owned).to_vec(),
        writable: vec![folder.path().to_owned()],
        memory: limits.memory.map(|bytes| bytes.saturating_add(INTERPRETER)),
        processors: Vec::new(),
        processes: PROCESSES,
        network: false,
    }
}

/// Variables that say how many threads a library's pool has. Some would take the number of the machine's processors.
const POOLS: [&str; 6] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "PYTHON_CPU_COUNT",
];

/// The environment: nothing of the user's.
fn variables(environment: &Path, processors: u32, folder: &Folder, sdk: &Path) -> BTreeMap<String, String> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (folder_text, sdk) = (text(folder.path()), text(sdk));
    let path = format!("{}:/usr/bin:/bin", text(&environment.join("bin")));
    let fixed = [
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("PYTHONFAULTHANDLER", "1"),
        ("PYTHONUNBUFFERED", "1"),
    ];
    let own = [("PATH", &path), ("HOME", &folder_text), ("TMPDIR", &folder_text), ("PYTHONPATH", &sdk)];
    let own = own.into_iter().map(|(name, value)| (name, value.as_str()));
    let threads = processors.to_string();
    let pools = POOLS.map(|name| (name, threads.as_str()));
    let own = own.chain(fixed).chain(pools).map(|(name, value)| (name.to_owned(), value.to_owned()));
    own.chain(folder.variables(folder.path())).collect()
}
