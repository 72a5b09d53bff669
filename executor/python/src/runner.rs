//! The runner: stages by digest, in processes that are started when they are needed and used again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

use flowc_flight::{FlightInstance, Network, Stages};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::is_server;
use flowc_runner::{Between, ChainRunner, Instance, Invocation, Outlet, Runner, StageError, StageFault};

use crate::pool::{Kind, Lent, Pool};
use crate::process::{Process, sweep};
use crate::{Project, PythonError};

/// Where a runner finds and puts things.
#[derive(Clone, Debug)]
pub struct Places {
    /// A program that calls [`flowc_sandbox::main`] first thing.
    pub helper: PathBuf,
    /// Environments, and the SDK.
    pub home: PathBuf,
    /// Sockets and temporary files.
    pub spool: PathBuf,
}

/// How a stage is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its sources and its interpreter.
    pub project: Project,
    /// Its packages.
    pub environment: PathBuf,
    /// `module:name`, `module`, or nothing for the module `stage`; or a program that serves the protocol by itself.
    pub entry: String,
}

/// Runs stages that are written in Python. Cheap to make: nothing is started until a stage is used.
pub struct PythonRunner {
    places: Places,
    /// Bytes of memory for a process that is asked at plan time.
    memory: u64,
    network: OnceLock<Result<Network, String>>,
    launches: Mutex<HashMap<StageDigest, Arc<Launch>>>,
    pool: Pool,
    swept: Once,
}

impl PythonRunner {
    /// A runner that knows no stage yet. `memory` is what a stage may have where the pipeline does not say.
    pub fn new(places: Places, memory: u64) -> Self {
        Self {
            places,
            memory,
            network: OnceLock::new(),
            launches: Mutex::default(),
            pool: Pool::default(),
            swept: Once::new(),
        }
    }

    /// Registers a stage.
    pub fn add(&self, launch: Launch) -> StageDigest {
        let digest = launch.project.digest(&launch.entry);
        let mut launches = self.launches.lock().unwrap_or_else(PoisonError::into_inner);
        launches.entry(digest).or_insert_with(|| Arc::new(launch));
        digest
    }

    /// What a registered stage is, before any config.
    ///
    /// # Errors
    /// If it can't be started, or describes itself wrongly.
    pub fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        self.ask(digest, |process, launch| {
            process.connection().signature(&launch.entry, *digest, launch.project.runner())
        })
    }

    /// What a registered stage makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with the stage.
    pub fn describe(&self, question: &Question) -> Result<Description, Problem> {
        self.ask(&question.digest, |process, launch| process.connection().describe(&launch.entry, question))
    }

    /// Asks with a process that waits, or a new one.
    fn ask<T>(
        &self,
        digest: &StageDigest,
        question: impl FnOnce(&Process, &Launch) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let launch = self.launch(digest).map_err(Problem::new)?;
        let kind = Kind::of(&launch, Some(self.memory));
        let mut process = self.process(&launch, &kind).map_err(|error| Problem::new(error.to_string()))?;
        let answer = question(&process, &launch);
        match process.is_alive() {
            true => self.pool.put(kind, process),
            false => {
                let (how, words) = (process.ended(), process.printed().join("\n"));
                let how = how.map_or_else(String::new, |ending| format!("{ending:?}"));
                return Err(Problem::new(format!("its process ended while it was asked: {how}\n{words}")));
            }
        }
        answer
    }

    /// Ends all processes that are not at work.
    pub fn end_idle(&self) {
        self.pool.end();
    }

    fn launch(&self, digest: &StageDigest) -> Result<Arc<Launch>, String> {
        let launches = self.launches.lock().unwrap_or_else(PoisonError::into_inner);
        let launch = launches.get(digest).cloned();
        launch.ok_or_else(|| format!("the Python stage {} was never registered", digest.short()))
    }

    fn process(&self, launch: &Launch, kind: &Kind) -> Result<Process, PythonError> {
        if let Some(process) = self.pool.take(kind) {
            return Ok(process);
        }
        self.swept.call_once(|| sweep(&self.places.spool));
        let network = self.network.get_or_init(|| Network::new().map_err(|error| error.to_string()));
        let network = network.as_ref().map_err(|reason| PythonError::Start { reason: reason.clone() })?;
        Process::start(launch, kind.memory, &self.places, network)
    }
}

impl Kind {
    fn of(launch: &Launch, memory: Option<u64>) -> Self {
        let Launch { project, environment, entry } = launch;
        let server = is_server(entry).then(|| entry.clone());
        Self { dir: project.dir.clone(), environment: environment.clone(), server, memory }
    }
}

impl Runner for PythonRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        self.open_chain(std::slice::from_ref(invocation), Vec::new(), outlet)
    }
}

impl ChainRunner for PythonRunner {
    fn open_chain(
        &self,
        stages: &[Invocation],
        between: Vec<Box<dyn Between>>,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageError> {
        let first = &stages[0];
        let failed =
            |message: String| StageError::new(&*first.stage, StageFault::Problem { message, config_path: None });
        let launches = stages.iter().map(|stage| self.launch(&stage.digest)).collect::<Result<Vec<_>, _>>();
        let launches = launches.map_err(failed)?;
        let kind = Kind::of(&launches[0], first.limits.memory);
        let process = self.process(&launches[0], &kind).map_err(|error| match error {
            // It may have been killed, or the machine have been short of something.
            PythonError::Start { reason } => StageError::new(&*first.stage, StageFault::Crashed(reason)),
            other => failed(other.to_string()),
        })?;
        let connection = process.connection().clone();
        let program = Box::new(Lent { process, kind, pool: self.pool.clone() });
        let entries = launches.iter().map(|launch| launch.entry.clone()).collect();
        let stages = Stages { entries, invocations: stages, between };
        Ok(Box::new(FlightInstance::open(&connection, program, stages, outlet)?))
    }
}
