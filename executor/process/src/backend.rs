//! What keeps a program from the rest of the machine.

use flowc_flight::Network;
use flowc_planner::plan::Isolate;
use flowc_sandbox::Sandbox;

use crate::{Folder, LentProcessors, ProcessError, Server};

/// What keeps a program from the rest of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IsolationBackend {
    /// A sandbox of our own.
    Sandbox,
    /// A container that shows it the same.
    Container,
}

impl From<Isolate> for IsolationBackend {
    fn from(isolate: Isolate) -> Self {
        match isolate {
            Isolate::Container => IsolationBackend::Container,
            Isolate::No | Isolate::Unit | Isolate::Process => IsolationBackend::Sandbox,
        }
    }
}

/// Starts programs of this machine in containers that show them what their sandbox would.
pub trait ContainerLauncher: Send + Sync {
    /// Starts one that listens on the socket of this folder, and waits until it does, while it is wanted. It runs on these
    /// processors.
    ///
    /// # Errors
    /// If there is no engine, or the program does not come up, or is not wanted any more.
    fn start(
        &self,
        sandbox: &Sandbox,
        processors: LentProcessors,
        folder: Folder,
        network: &Network,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, ProcessError>;
}
