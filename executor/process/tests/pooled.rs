//! A kind of stage that lends programs, as its author writes it: a launcher. Its programs are servers in this process.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_schema::SchemaRef;
use flowc_code::{Digests, Evidence, PipelineFiles, Reader, Tools};
use flowc_flight::serve::{Location, Served, ServedCode, serve};
use flowc_flight::{Connection, Ending, Network};
use flowc_planner::catalogue::{Description, Problem, Signature};
use flowc_planner::key::{KeyHasher, Phase, StageDigest};
use flowc_planner::plan::{Code, Isolate, Limits, Purity, Serialization};
use flowc_process::{Launch, LaunchError, Launcher, PooledKind, PooledRunner, ProcessError, Server, Unanswered};
use flowc_runner::{
    Batch, BuildLog, CodeContext, Invocation, Keep, Located, Outlet, Runner, Secrets, StageError, StageFault,
    StageKind, foreign_code,
};

/// A stage of a program.
struct Stage {
    program: &'static str,
    name: &'static str,
}

impl Launch for Stage {
    fn digest(&self) -> StageDigest {
        StageDigest::new(KeyHasher::new("stage").bytes(self.program.as_bytes()).bytes(self.name.as_bytes()).finish())
    }

    fn entry(&self) -> String {
        self.name.to_owned()
    }
}

/// Starts servers, or fails as it is told to.
struct Servers {
    network: Network,
    folder: tempfile::TempDir,
    started: AtomicUsize,
    fails: Mutex<Option<LaunchError>>,
}

impl Launcher for &'static Servers {
    type Launch = Stage;
    type Key = (&'static str, Option<u64>);

    fn key(&self, launch: &Stage, limits: &Limits) -> Self::Key {
        (launch.program, limits.memory)
    }

    fn start(&self, _: &Stage, _: &Limits, is_wanted: &dyn Fn() -> bool) -> Result<Box<dyn Server>, LaunchError> {
        if let Some(error) = self.fails.lock().unwrap().take() {
            return Err(error);
        }
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let socket = self.folder.path().join(number.to_string());
        let location = Location { listen: format!("grpc+unix://{}", socket.display()), memory: None };
        std::thread::spawn(move || serve(Arc::new(Described), &location, std::future::pending()));
        let connection = self.network.connect(&socket, None, Duration::from_secs(60), is_wanted).unwrap();
        Ok(Box::new(Running(connection)))
    }
}

impl PooledKind for &'static Servers {
    fn name(&self) -> &'static str {
        "wasm"
    }

    fn locate(&self, code: &Code, _: &dyn CodeContext) -> Result<(Stage, Located), Problem> {
        let Code::Std(name) = code else { return Err(foreign_code(code)) };
        let name = if name == "one" { "one" } else { "other" };
        let stage = Stage { program: "located", name };
        let located = Located::new(stage.digest(), Evidence::default());
        Ok((stage, located))
    }
}

/// A context in which nothing is read and nothing built.
struct Empty;

impl CodeContext for Empty {
    fn base(&self) -> &Path {
        Path::new("/")
    }

    fn tools(&self) -> Tools<'_> {
        Tools::direct()
    }

    fn pinned(&self, _: &str) -> Option<&str> {
        None
    }

    fn with_reader(&self, _: &Path, _: Keep, read: &mut dyn FnMut(&Reader<'_>)) {
        read(&Reader::new(&PipelineFiles::default(), None, Digests::default()));
    }

    fn with_build(&self, _: &Code, _: &mut dyn FnMut(BuildLog<'_>) -> Result<(), Problem>) -> Result<(), Problem> {
        Err(Problem::new("nothing is built here"))
    }
}

/// What the servers serve.
struct Described;

impl Served for Described {
    fn signature(&self, stage: &str) -> Result<Signature, Problem> {
        if stage == "silent" {
            loop {
                std::thread::park();
            }
        }
        Ok(Signature {
            digest: StageDigest::new([0; 32]),
            doc: format!("It is {stage}."),
            inputs: Vec::new(),
            outputs: vec!["out".to_owned()],
            config_schema: serde_json::json!({}),
            purity: Purity::Sandboxed,
            runner: [].into(),
            unenforced: None,
            chains: true,
            serializations: Serialization::ALL.to_vec(),
        })
    }

    fn describe(&self, stage: &str, _: serde_json::Value, _: Vec<SchemaRef>) -> Result<Description, Problem> {
        Err(Problem::new(format!("{stage} can't be described")))
    }

    fn code(&self, stage: &str, _: &Limits) -> Result<ServedCode<'_>, Problem> {
        Err(Problem::new(format!("{stage} can't be opened")))
    }
}

struct Running(Connection);

impl Server for Running {
    fn connection(&self) -> &Connection {
        &self.0
    }

    fn is_alive(&mut self) -> bool {
        true
    }

    fn printed(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn ended(&mut self) -> Option<Ending> {
        None
    }
}

fn runner() -> (&'static Servers, PooledRunner<&'static Servers>) {
    let (network, folder) = (Network::new().unwrap(), tempfile::tempdir().unwrap());
    let servers = Servers { network, folder, started: AtomicUsize::new(0), fails: Mutex::default() };
    // It stays as long as its servers, which end with this process.
    let servers: &'static Servers = Box::leak(Box::new(servers));
    (servers, PooledRunner::new(servers, 1 << 20))
}

struct Nowhere;

impl Outlet for Nowhere {
    fn emit(&mut self, _: usize, _: Batch) -> Result<(), StageError> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, _: &str, _: &str) {}
}

fn opened(runner: &PooledRunner<&'static Servers>, digest: StageDigest) -> StageFault {
    let invocation = Invocation {
        stage: "s".into(),
        digest,
        config: "{}".into(),
        phase: Phase::Run,
        part: 0,
        inputs: [].into(),
        main_input: None,
        outputs: [].into(),
        limits: Limits::default(),
        secrets: Secrets::default(),
    };
    runner.open(&invocation, Box::new(Nowhere)).err().unwrap().fault
}

#[test]
fn programs_are_started_per_key_and_used_again_until_they_are_ended() {
    let (servers, runner) = runner();
    let started = || servers.started.load(Ordering::SeqCst);
    let add = |program, name| runner.add(Stage { program, name });
    let (one, two, other) = (add("p", "one"), add("p", "two"), add("q", "one"));
    assert_eq!(runner.signature(&one).unwrap().doc, "It is one.");
    assert_eq!(runner.signature(&two).unwrap().doc, "It is two.");
    assert_eq!(started(), 1);
    runner.signature(&other).unwrap();
    assert_eq!(started(), 2);
    runner.prepare(&one, &Limits { memory: Some(1 << 20), ..Limits::default() }, &|| true);
    assert_eq!(started(), 2, "one waits");
    runner.end_idle();
    runner.signature(&one).unwrap();
    assert_eq!(started(), 3);
}

#[test]
fn a_program_that_has_not_answered_is_not_used_again() {
    let (servers, runner) = runner();
    let add = |name| runner.add(Stage { program: "p", name });
    let (one, silent) = (add("one"), add("silent"));
    runner.signature(&one).unwrap();
    let patience = Duration::from_millis(50);
    let unanswered = runner.signature_within(&silent, patience).unwrap_err();
    assert!(matches!(unanswered, Unanswered::Silent(of) if of == patience), "{unanswered:?}");
    assert_eq!(servers.started.load(Ordering::SeqCst), 1);
    assert_eq!(runner.signature(&one).unwrap().doc, "It is one.");
    assert_eq!(servers.started.load(Ordering::SeqCst), 2);
}

#[test]
fn a_launcher_that_locates_code_is_a_kind_of_stage() {
    let (servers, runner) = runner();
    let kind: &dyn StageKind = &runner;
    let located = kind.locate(&Code::Std("one".to_owned()), &Empty).unwrap();
    assert_eq!(kind.signature(&located.digest).unwrap().doc, "It is one.");
    assert!(kind.runner(Isolate::No).as_chain_runner().is_some());
    assert_eq!(servers.started.load(Ordering::SeqCst), 1);
    let foreign = kind.locate(&Code::Rust("two".to_owned()), &Empty).unwrap_err();
    assert_eq!(foreign.message, "`wasm` stages can't be run by this flowc");
}

#[test]
fn a_program_that_does_not_start_fails_the_stage_by_its_cause() {
    let (servers, runner) = runner();
    let stage = runner.add(Stage { program: "p", name: "one" });
    let problem = |message: &str| StageFault::Problem { message: message.to_owned(), config_path: None };
    let killed = ProcessError::Start { reason: "killed".to_owned() };
    let cases = [
        (LaunchError::Stopped, StageFault::Cancelled),
        (killed.into(), StageFault::Crashed("killed".to_owned())),
        (ProcessError::Refused("no engine".to_owned()).into(), problem("no engine")),
        (Problem::new("no packages").into(), problem("no packages")),
    ];
    for (error, due) in cases {
        *servers.fails.lock().unwrap() = Some(error);
        assert_eq!(opened(&runner, stage), due);
    }
    let StageFault::Problem { message, .. } = opened(&runner, StageDigest::new([9; 32])) else { panic!() };
    assert!(message.ends_with("was never registered"), "{message}");
}
