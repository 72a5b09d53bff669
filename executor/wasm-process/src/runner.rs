//! The runner: starts such processes when they are needed, and uses them again.

use std::sync::Arc;

use flowc_planner::catalogue::Problem;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Limits;
use flowc_process::{Folder, Host, IsolationBackend, Launch, LaunchError, Launcher, PROCESSES, PooledRunner, Server};
use flowc_sandbox::Sandbox;
use flowc_wasm::WasmRunner;

use crate::ServedComponent;

/// Bytes that a process may take beside the instance's own: code, batches on their way, and stacks of threads.
const ENGINE: u64 = 256 << 20;

/// Processors that a process may use: a component has one thread.
const THREADS: u32 = 1;

/// Runs components in processes or containers of their own.
pub type WasmProcessRunner = PooledRunner<ComponentLauncher>;

/// A component that is registered with the wasm runner too.
#[derive(Clone, Copy, Debug)]
pub struct RegisteredComponent(pub StageDigest);

impl Launch for RegisteredComponent {
    fn digest(&self) -> StageDigest {
        self.0
    }

    fn entry(&self) -> String {
        self.0.to_string()
    }
}

/// Starts processes, each of which serves one component. Cheap to make.
pub struct ComponentLauncher {
    host: Arc<Host>,
    components: Arc<WasmRunner>,
}

/// What makes processes alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ComponentKey {
    digest: StageDigest,
    memory: Option<u64>,
    backend: IsolationBackend,
}

impl ComponentLauncher {
    /// A launcher of the components that are registered with a runner, which compiles them. The helper of `host` calls
    /// [`main`](crate::main) too.
    pub fn new(host: Arc<Host>, components: Arc<WasmRunner>) -> Self {
        Self { host, components }
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
            network: false,
            program,
        })
    }
}

impl Launcher for ComponentLauncher {
    type Launch = RegisteredComponent;
    type Key = ComponentKey;

    fn key(&self, launch: &RegisteredComponent, limits: &Limits) -> ComponentKey {
        ComponentKey { digest: launch.0, memory: limits.memory, backend: limits.isolate.into() }
    }

    fn start(
        &self,
        launch: &RegisteredComponent,
        limits: &Limits,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, LaunchError> {
        let served = ServedComponent::of(&self.components, launch.0, limits.memory)?;
        let folder = self.host.folder()?;
        let sandbox = self.sandbox(&served, &folder)?;
        Ok(self.host.start(sandbox, THREADS, folder, limits.isolate.into(), is_wanted)?)
    }

    /// A process serves one component.
    fn chains(&self) -> bool {
        false
    }
}
