//! The runner: starts such processes when they are needed, and uses them again.

use std::sync::Arc;

use flowc_flight::Stages;
use flowc_planner::catalogue::Problem;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Limits;
use flowc_process::{Enclosure, Folder, Host, PROCESSES, Pool, Server};
use flowc_runner::{Instance, Invocation, Outlet, Runner, StageError, StageFault};
use flowc_sandbox::Sandbox;
use flowc_wasm::WasmRunner;

use crate::ServedComponent;

/// Bytes that a process may take beside the instance's own: code, batches on their way, and stacks of threads.
const ENGINE: u64 = 256 << 20;

/// Processors that a process may use: a component has one thread.
const THREADS: u32 = 1;

/// Runs components in processes or containers of their own. Cheap to make: nothing is started until a stage is used.
pub struct WasmProcessRunner {
    host: Arc<Host>,
    components: Arc<WasmRunner>,
    pool: Pool<Kind, Box<dyn Server>>,
}

/// What makes processes alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    digest: StageDigest,
    memory: Option<u64>,
    enclosure: Enclosure,
}

impl Kind {
    fn of(digest: StageDigest, limits: &Limits) -> Self {
        Self { digest, memory: limits.memory, enclosure: limits.isolate.into() }
    }
}

impl WasmProcessRunner {
    /// A runner of the components that are registered with another one, which compiles them. The helper of `host` calls
    /// [`main`](crate::main) too.
    pub fn new(host: Arc<Host>, components: Arc<WasmRunner>) -> Self {
        Self { host, components, pool: Pool::default() }
    }

    /// Ends all processes that are not at work.
    pub fn end_idle(&self) {
        self.pool.end_idle();
    }

    /// The process reads this program, the component and what that is compiled to, and nothing else.
    fn sandbox(&self, served: &ServedComponent, folder: &Folder) -> Result<Sandbox, Problem> {
        let program = self.host.helper().to_owned();
        let args = served.args().map_err(|error| Problem::new(error.to_string()))?;
        let files = served.files().map(ToOwned::to_owned);
        Ok(Sandbox {
            args,
            env: folder.variables(folder.path()),
            folder: folder.path().to_owned(),
            readable: files.into_iter().chain([program.clone()]).collect(),
            writable: vec![folder.path().to_owned()],
            memory: served.memory.map(|bytes| bytes.saturating_add(ENGINE)),
            processors: Vec::new(),
            processes: PROCESSES,
            program,
        })
    }

    fn start(&self, stage: &str, kind: &Kind, is_wanted: &dyn Fn() -> bool) -> Result<Box<dyn Server>, StageError> {
        let failed = |problem: Problem| {
            let fault = StageFault::Problem { message: problem.message, config_path: None };
            StageError::new(stage, fault)
        };
        let served = ServedComponent::of(&self.components, kind.digest, kind.memory).map_err(failed)?;
        let folder = self.host.folder().map_err(|error| error.of_stage(stage))?;
        let sandbox = self.sandbox(&served, &folder).map_err(failed)?;
        let started = self.host.start(sandbox, THREADS, folder, kind.enclosure, is_wanted);
        started.map_err(|error| error.of_stage(stage))
    }
}

impl Runner for WasmProcessRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let limits = &invocation.limits;
        let kind = Kind::of(invocation.digest, limits);
        let process = self.pool.lend(kind, |kind| self.start(&invocation.stage, kind, &|| true))?;
        let entries = vec![invocation.digest.to_string()];
        let invocations = std::slice::from_ref(invocation);
        process.open(Stages { entries, invocations, between: Vec::new() }, outlet)
    }

    fn prepare(&self, stage: &StageDigest, limits: &Limits, is_wanted: &dyn Fn() -> bool) {
        self.pool.prepare(Kind::of(*stage, limits), |kind| self.start("", kind, is_wanted));
    }
}
