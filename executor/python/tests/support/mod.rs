//! A runner with one of the projects of this folder. Needs `uv`; `cargo xtask test` sets it up.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::SchemaRef;
use flowc_code::{Digests, PipelineFiles, Reader, Snapshots, Tools};
use flowc_container::Engines;
use flowc_planner::catalogue::{Description, Problem, Question};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Code;
use flowc_process::Host;
use flowc_python::{Environments, Launch, Project, PythonLauncher, PythonRunner};
use flowc_runner::Runner;
use flowc_runner::conformance::Subject;

/// A runner that knows one stage. Environments are kept from one test run to the next.
pub struct Python {
    pub runner: PythonRunner,
    pub digest: StageDigest,
    _spool: tempfile::TempDir,
}

impl Python {
    /// The stage `entry` of the project in a folder.
    pub fn new(dir: &Path, entry: &str) -> Self {
        Self::started_by(dir, entry, |host| host)
    }

    /// The stage of a project beside this file, which can be put into containers. Needs an engine; `cargo xtask test` sets
    /// one up.
    pub fn contained(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
        Self::started_by(&dir, "", |host| host.with_containers(Arc::new(Engines::default())))
    }

    fn started_by(dir: &Path, entry: &str, host: impl FnOnce(Host) -> Host) -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("environments");
        let snapshots = Snapshots::new(home.join("code"));
        let files = PipelineFiles::default();
        let reader = Reader::new(&files, Some(&snapshots), Digests::default());
        let project = Project::find(dir, &home, Tools::direct(), &reader).unwrap_or_else(|error| panic!("{error}"));
        let spool = tempfile::tempdir().expect("a folder");
        let helper = PathBuf::from(env!("CARGO_BIN_EXE_flowc-sandboxed-python"));
        let host = Arc::new(host(Host::new(helper, spool.path().to_owned())));
        let runner = PythonRunner::new(PythonLauncher::new(host, Environments { home, snapshots }), 512 << 20);
        let digest = runner.add(Launch { project, entry: entry.to_owned() });
        Self { runner, digest, _spool: spool }
    }

    /// The stage `entry` of a project beside this file.
    pub fn of(name: &str, entry: &str) -> Self {
        Self::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name), entry)
    }
}

impl Subject for Python {
    fn runner(&self) -> &dyn Runner {
        &self.runner
    }

    fn digest(&self) -> StageDigest {
        self.digest
    }

    fn says_which_rows(&self) -> bool {
        false
    }

    fn describe(&self, config: &str, input: SchemaRef) -> Result<Description, Problem> {
        self.runner.signature(&self.digest)?;
        let code = Code::Python { dir: "subject".to_owned(), entry: String::new() };
        let config = config.parse().map_err(|error| Problem::new(format!("{error}")))?;
        self.runner.describe(&Question { code, digest: self.digest, config, inputs: vec![input] })
    }
}

/// What the stage `failing` says with `refused`: numbers of errors. 1 is that it is not permitted, 38 that there is no such call.
#[allow(dead_code, reason = "not every test asks for it")]
pub const REFUSED: [&str; 12] = [
    "ptrace 1",
    "unshare 1",
    "mount 1",
    "setns 1",
    "memfd_create 38",
    "mmap 1",
    "personality 1",
    "AF_VSOCK 1",
    "AF_ALG 1",
    "AF_PACKET 1",
    "AF_UNIX 0",
    "AF_INET 0",
];
