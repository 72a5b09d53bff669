//! What starting programs takes on this machine.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Once, OnceLock};

use flowc_flight::{Network, OpenFiles};
use flowc_sandbox::{Helper, Sandbox};

use crate::folder::sweep;
use crate::processors::Processors;
use crate::stored_files::StoredFiles;
use crate::{ContainerLauncher, Folder, IsolationBackend, LentProcessors, Process, ProcessError, Server};

/// Starts programs. Cheap to make: there are no threads until a program is started.
pub struct Host {
    helper: Helper,
    spool: PathBuf,
    /// Before the network, which carries its requests.
    containers: Option<Arc<dyn ContainerLauncher>>,
    shares_memory: bool,
    /// Stored files that programs may map.
    files: Option<Arc<dyn OpenFiles>>,
    network: OnceLock<Result<Network, String>>,
    processors: LazyLock<Processors>,
    swept: Once,
}

impl Host {
    /// `helper` is a program that calls [`flowc_sandbox::main`] first thing; sockets and temporary files go to `spool`.
    pub fn new(helper: impl Into<Helper>, spool: PathBuf) -> Self {
        Self {
            helper: helper.into(),
            spool,
            containers: None,
            shares_memory: true,
            files: None,
            network: OnceLock::new(),
            processors: LazyLock::new(Processors::of_machine),
            swept: Once::new(),
        }
    }

    /// Gives it what starts programs in containers.
    #[must_use]
    pub fn with_containers(self, containers: Arc<dyn ContainerLauncher>) -> Self {
        Self { containers: Some(containers), ..self }
    }

    /// Has programs map the files of this folder, which never change, where they read all that is in one.
    #[must_use]
    pub fn with_stored_files(self, folder: PathBuf) -> Self {
        let files = StoredFiles::new(self.helper().to_owned(), folder);
        Self { files: Some(Arc::new(files)), ..self }
    }

    /// Has batches go through sockets alone. For comparison.
    #[must_use]
    pub fn without_shared_memory(self) -> Self {
        Self { shares_memory: false, ..self }
    }

    /// The program that plays the part of a helper.
    pub fn helper(&self) -> &Path {
        self.helper.program()
    }

    /// A folder for one program.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn folder(&self) -> Result<Folder, ProcessError> {
        self.swept.call_once(|| sweep(&self.spool));
        let folder = Folder::make(&self.spool)?;
        Ok(if self.shares_memory { folder.with_shared_memory(self.files.clone()) } else { folder })
    }

    /// What carries all connections.
    ///
    /// # Errors
    /// If it can have no threads.
    pub fn network(&self) -> Result<&Network, ProcessError> {
        let network = self.network.get_or_init(|| Network::new().map_err(|error| error.to_string()));
        network.as_ref().map_err(|reason| ProcessError::Start { reason: reason.clone() })
    }

    /// Starts a program that listens on the socket of this folder, and waits until it does, while it is wanted. It runs on so
    /// many processors.
    ///
    /// # Errors
    /// If it does not come up, or is not wanted any more.
    pub fn start(
        &self,
        sandbox: Sandbox,
        processors: u32,
        folder: Folder,
        backend: IsolationBackend,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, ProcessError> {
        let (network, lent) = (self.network()?, self.lend(processors)?);
        let sandbox = Sandbox { processors: lent.numbers().to_vec(), ..sandbox };
        match (backend, &self.containers) {
            (IsolationBackend::Sandbox, _) => {
                let helper = (self.helper.starter(), self.helper.required());
                let started = Process::start(&sandbox, lent, helper, folder, network, is_wanted);
                if started.is_err() && is_wanted() {
                    self.helper.doubt();
                }
                Ok(Box::new(started?))
            }
            (IsolationBackend::Container, Some(containers)) => {
                containers.start(&sandbox, lent, folder, network, is_wanted)
            }
            (IsolationBackend::Container, None) => {
                Err(ProcessError::Refused("nothing here starts containers".to_owned()))
            }
        }
    }

    /// How many processors there are: where the results of a program don't depend on their number, it may have all.
    pub fn processors(&self) -> u32 {
        self.processors.count()
    }

    /// Processors for a program: those that the fewest have.
    ///
    /// # Errors
    /// If this machine has fewer.
    pub fn lend(&self, processors: u32) -> Result<LentProcessors, ProcessError> {
        self.processors.lend(processors)
    }
}
