//! The runner: components on workers, by turns.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flowc_flight::{Connection, Ending, Stages, Unanswered};
use flowc_planner::key::StageDigest;
use flowc_process::{Host, Lent, Pool, Server};
use flowc_runner::{ChainRunner, EdgeObserver, Instance, Invocation, Outlet, Runner, StageError, StageFault};
use flowc_wasm::WasmRunner;

use crate::Credentials;

/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a worker is asked for the components of a chain, until it holds all of them at once.
const ROUNDS: usize = 3;

/// Runs components on workers. Cheap to make: nothing is read or connected to until it is needed.
pub struct WorkerRunner {
    host: Arc<Host>,
    components: Arc<WasmRunner>,
    files: Vec<PathBuf>,
    workers: OnceLock<Result<Vec<Arc<Remote>>, String>>,
    turn: AtomicUsize,
    /// A connection serves one invocation at a time, as a process does: what is not read on one must not stop another.
    pool: Pool<usize, Link>,
}

/// A worker, as it is known here.
struct Remote {
    number: usize,
    file: PathBuf,
    credentials: Credentials,
    /// It could not be reached when that was tried last. The others are given its work.
    is_lost: AtomicBool,
}

/// A connection to a worker.
struct Link {
    worker: Arc<Remote>,
    connection: Connection,
}

impl WorkerRunner {
    /// A runner of the components that are registered with another one, on the workers of these files of credentials.
    pub fn new(host: Arc<Host>, components: Arc<WasmRunner>, files: Vec<PathBuf>) -> Self {
        Self { host, components, files, workers: OnceLock::new(), turn: AtomicUsize::new(0), pool: Pool::default() }
    }

    /// Whether there are workers.
    pub fn is_used(&self) -> bool {
        !self.files.is_empty()
    }

    /// Reads the credentials.
    ///
    /// # Errors
    /// In words, if a file can't be read.
    pub fn check(&self) -> Result<(), String> {
        self.workers().map(|_| ())
    }

    /// Closes all connections that are not at work.
    pub fn end_idle(&self) {
        self.pool.end_idle();
    }

    fn workers(&self) -> Result<&[Arc<Remote>], String> {
        let read = |(number, file): (usize, &PathBuf)| {
            let (file, is_lost) = (file.clone(), AtomicBool::new(false));
            Ok(Arc::new(Remote { number, credentials: Credentials::read(&file)?, file, is_lost }))
        };
        let workers = self.workers.get_or_init(|| self.files.iter().enumerate().map(read).collect());
        workers.as_deref().map_err(Clone::clone)
    }

    /// The next one that is not lost. If all are, the next: it may be there again, and if not, it is the one to name.
    fn choose(&self) -> Result<Arc<Remote>, String> {
        let (workers, turn) = (self.workers()?, self.turn.fetch_add(1, Ordering::Relaxed));
        let by_turns = || (0..workers.len()).map(|step| &workers[(turn.wrapping_add(step)) % workers.len()]);
        let chosen = by_turns().find(|worker| !worker.is_lost.load(Ordering::Relaxed)).or_else(|| by_turns().next());
        chosen.cloned().ok_or_else(|| "there is no worker".to_owned())
    }

    fn connect(&self, worker: &Arc<Remote>) -> Result<Link, StageFault> {
        let network = self.host.network().map_err(|error| problem(error.to_string()))?;
        let Credentials { address, identity } = &worker.credentials;
        let connection = network.connect_secured(address, identity);
        let connection = connection.map_err(|error| worker.lost(&error.to_string()))?;
        Ok(Link { worker: worker.clone(), connection })
    }

    /// A connection to a worker that is ready for an invocation of these components.
    fn ready(&self, stages: &[Invocation], contents: &[StageDigest]) -> Result<Lent<usize, Link>, StageError> {
        let failed = |fault| StageError::new(&*stages[0].stage, fault);
        let worker = self.choose().map_err(problem).map_err(failed)?;
        let link = self.pool.lend(worker.number, |_| self.connect(&worker)).map_err(failed)?;
        for _ in 0..ROUNDS {
            let mut brought = 0;
            for (stage, content) in stages.iter().zip(contents) {
                let is_brought = self.hold(&worker, link.connection(), stage, *content);
                brought += usize::from(is_brought.map_err(|fault| StageError::new(&*stage.stage, fault))?);
            }
            // While one is brought, the worker may let go of another.
            if brought == 0 || stages.len() == 1 {
                return Ok(link);
            }
        }
        let name = worker.name();
        Err(failed(problem(format!("{name} lets go of components that it was just sent: others use it too much"))))
    }

    /// Has the worker hold a component. Gives whether it had to be brought.
    fn hold(
        &self,
        worker: &Remote,
        connection: &Connection,
        stage: &Invocation,
        content: StageDigest,
    ) -> Result<bool, StageFault> {
        match connection.hold(content, &stage.limits, || self.components.bytes(&stage.digest)) {
            Ok(is_brought) => {
                worker.is_lost.store(false, Ordering::Relaxed);
                Ok(is_brought)
            }
            Err(Unanswered::Broken(what)) => Err(worker.lost(&what)),
            Err(other) => Err(problem(format!("{}: {other}", worker.name()))),
        }
    }

    /// Workers go by the bytes alone: that is what they can check.
    fn content(&self, stage: &Invocation) -> Result<StageDigest, StageError> {
        let content = self.components.content(&stage.digest);
        content.map_err(|none| StageError::new(&*stage.stage, problem(none.message)))
    }
}

fn problem(message: String) -> StageFault {
    StageFault::Problem { message, config_path: None }
}

impl Remote {
    fn name(&self) -> String {
        format!("the worker at {}", self.credentials.address)
    }

    /// It can't be reached; in words.
    fn unreachable(&self, what: &str) -> String {
        self.is_lost.store(true, Ordering::Relaxed);
        let (name, file) = (self.name(), self.file.display());
        format!("{name} can't be reached: {what}; `flowc worker` has to run there, and {file} to be of its present run")
    }

    fn lost(&self, what: &str) -> StageFault {
        StageFault::Unreachable(self.unreachable(what))
    }
}

impl Server for Link {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The next question shows whether the worker still is there.
    fn is_alive(&mut self) -> bool {
        true
    }

    /// What a worker prints is not a stage's.
    fn printed(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn ended(&mut self) -> Option<Ending> {
        let what = self.connection.check(PATIENCE).err()?;
        Some(Ending::Unreachable(self.worker.unreachable(&what)))
    }
}

impl Runner for WorkerRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        self.open_chain(std::slice::from_ref(invocation), Vec::new(), outlet)
    }

    fn as_chain_runner(&self) -> Option<&dyn ChainRunner> {
        Some(self)
    }
}

impl ChainRunner for WorkerRunner {
    fn open_chain(
        &self,
        stages: &[Invocation],
        between: Vec<Box<dyn EdgeObserver>>,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageError> {
        let contents = stages.iter().map(|stage| self.content(stage)).collect::<Result<Vec<_>, _>>()?;
        let link = self.ready(stages, &contents)?;
        let entries = contents.iter().map(ToString::to_string).collect();
        link.open(Stages { entries, invocations: stages, between }, outlet)
    }
}
