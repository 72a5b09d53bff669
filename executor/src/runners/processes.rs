//! Programs that serve stages, and components in such programs.

use std::sync::Arc;

#[cfg(feature = "containers")]
use flowc_container::Engines;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Isolate;
use flowc_process::Host;
use flowc_runner::Runner;
use flowc_sandbox::Helper;
use flowc_store::Store;
use flowc_wasm::WasmRunner;
use flowc_wasm_process::{ComponentLauncher, RegisteredComponent, WasmProcessRunner};
#[cfg(feature = "workers")]
use flowc_worker::WorkerRunner;

use crate::runners::absolute;
use crate::runners::components::Elsewhere;
use crate::{Error, Options};

/// What starts the programs of a session, and reaches those of other hosts.
pub(super) struct Programs {
    /// Starts them.
    pub(super) host: Arc<Host>,
    /// Starts those in containers.
    #[cfg(feature = "containers")]
    pub(super) engines: Arc<Engines>,
}

impl Programs {
    /// Programs that find what the store holds.
    ///
    /// # Errors
    /// If the store's folder can't be found.
    pub(super) fn new(store: &Store, helper: Helper) -> Result<Self, Error> {
        let host = Host::new(helper, absolute(&store.spool())?).with_stored_files(absolute(&store.objects())?);
        #[cfg(feature = "containers")]
        let engines = Arc::new(Engines::default());
        #[cfg(feature = "containers")]
        let host = host.with_containers(engines.clone());
        Ok(Self {
            host: Arc::new(host),
            #[cfg(feature = "containers")]
            engines,
        })
    }

    /// What runs components outside of flowc's process; `inside` compiles them.
    pub(super) fn elsewhere(&self, inside: &Arc<WasmRunner>, options: &Options) -> Vec<Box<dyn Elsewhere>> {
        let launcher = ComponentLauncher::new(self.host.clone(), inside.clone());
        Vec::from([
            Box::new(WasmProcessRunner::new(launcher, options.memory)) as Box<dyn Elsewhere>,
            #[cfg(feature = "workers")]
            Box::new(WorkerRunner::new(self.host.clone(), inside.clone(), options.workers.clone())),
        ])
    }
}

impl Elsewhere for WasmProcessRunner {
    /// Nothing but this host keeps a stage from others as the text wants it.
    fn takes(&self, isolate: Isolate) -> bool {
        isolate >= Isolate::Process
    }

    fn runner(&self) -> &dyn Runner {
        self
    }

    fn add(&self, component: StageDigest) {
        WasmProcessRunner::add(self, RegisteredComponent(component));
    }

    fn end_idle(&self) {
        WasmProcessRunner::end_idle(self);
    }
}
