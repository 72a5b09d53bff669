//! A pipeline in a folder of its own, run through the engine as a caller would.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use flowc_executor::{
    Cancel, Error, Event, Options, RunFailure, RunReport, RunRequest, Session, StageReport, StageStatus,
};

/// A folder with a pipeline, its inputs and outputs, and a store.
pub(crate) struct Project {
    folder: tempfile::TempDir,
    /// Threads.
    pub(crate) jobs: usize,
    /// Values of `param` nodes.
    pub(crate) params: BTreeMap<String, String>,
    /// Under `--locked`.
    pub(crate) locked: bool,
}

impl Project {
    /// A pipeline without inputs yet.
    pub(crate) fn new(flow: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Self { folder, jobs: 2, params: BTreeMap::new(), locked: false };
        project.write("flow.kdl", flow);
        project.new_store();
        project
    }

    /// Removes the store. The new one shares compiled components with all tests: compiling takes seconds.
    pub(crate) fn new_store(&self) {
        let _ = fs::remove_dir_all(self.store());
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cwasm");
        fs::create_dir_all(&shared).expect("a folder");
        fs::create_dir_all(self.store()).expect("a store");
        std::os::unix::fs::symlink(shared, self.store().join("cwasm")).expect("a link");
    }

    /// Where a file of the project is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and waits until its stamp can be trusted.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        self.write_all(name, text);
        settle();
    }

    /// Writes a file of several: who writes the last one waits.
    pub(crate) fn write_all(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Reads a text file.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> PathBuf {
        self.path(".store")
    }

    /// A new session, as a new process would make.
    pub(crate) fn session(&self) -> Session {
        self.session_in(&self.store())
    }

    /// A session over another store.
    pub(crate) fn session_in(&self, store: &Path) -> Session {
        Session::new(Options {
            pipeline: self.path("flow.kdl"),
            store: store.to_path_buf(),
            jobs: self.jobs,
            params: self.params.clone(),
            ambient: BTreeSet::new(),
            locked: self.locked,
            build: true,
            update_lock: false,
            memory: 512 << 20,
            budget: 8 << 30,
            require_isolation: false,
            workers: Vec::new(),
            gpu: None,
        })
    }

    /// Runs everything; it must succeed.
    pub(crate) fn run(&self) -> RunReport {
        self.try_run(&RunRequest::default()).unwrap_or_else(|failure| panic!("the run failed: {:#?}", failure.errors))
    }

    /// Runs what is asked for.
    pub(crate) fn try_run(&self, request: &RunRequest) -> Result<RunReport, RunFailure> {
        self.session().run(request, Arc::new(|_: Event| ()), Cancel::new())
    }

    /// Runs everything; gives the events too.
    pub(crate) fn run_watched(&self) -> (RunReport, Vec<Event>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        let observer = Arc::new(move |event: Event| seen.lock().expect("unpoisoned").push(event));
        let report = self.session().run(&RunRequest::default(), observer, Cancel::new());
        let events = std::mem::take(&mut *events.lock().expect("unpoisoned"));
        (report.unwrap_or_else(|failure| panic!("the run failed: {:#?}", failure.errors)), events)
    }

    /// Runs everything; it must fail. Gives the messages.
    pub(crate) fn failure(&self) -> String {
        let failure = self.try_run(&RunRequest::default()).expect_err("a failure");
        failure.errors.iter().map(describe).collect::<Vec<_>>().join("\n")
    }
}

/// What an error says, and what is told of places in the text.
pub(crate) fn describe(error: &Error) -> String {
    let problems = match error {
        Error::Pipeline(problems) | Error::Machine(problems) | Error::Locked { problems, .. } => problems.as_slice(),
        _ => &[],
    };
    let told = problems.iter().map(|problem| format!("\n{problem}"));
    std::iter::once(error.to_string()).chain(told).collect()
}

/// The stages of `tests/stages`, by name: built once for all tests of a process.
static STAGES: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let stages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stages");
    let built = flowc_componentize::build_workspace(&stages, &target, &mut |_: &str| ());
    built.expect("the stages build").into_iter().collect()
});

/// The component of a stage of `tests/stages`.
pub(crate) fn component(stage: &str) -> &'static [u8] {
    STAGES.get(stage).expect("a stage of that name")
}

/// Waits out the tick in which a second write could go unseen.
pub(crate) fn settle() {
    std::thread::sleep(Duration::from_millis(25));
}

/// The report of one stage.
pub(crate) fn stage<'a>(report: &'a RunReport, name: &str) -> &'a StageReport {
    report.stages.iter().find(|stage| stage.name == name).expect("a stage of that name")
}

/// Segments that a stage ran over, and segments whose results were there.
pub(crate) fn segments(report: &RunReport, name: &str) -> (u64, u64) {
    let stage = stage(report, name);
    (stage.segments_ran, stage.segments_cached)
}

/// Whether nothing ran at all.
pub(crate) fn all_cached(report: &RunReport) -> bool {
    report.stages.iter().all(|stage| matches!(stage.status, StageStatus::Cached | StageStatus::Passthrough))
}
