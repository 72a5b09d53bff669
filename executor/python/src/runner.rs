//! The runner: stages by digest, in processes that are started when they are needed and used again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use flowc_code::Tools;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Limits;
use flowc_process::{Host, LaunchError, Launcher, PooledRunner, Server};

use crate::launch::{Launch, Made, ProcessKey, sandbox};
use crate::{Environments, Project, PythonError, sdk};

/// Gives the environment of a stage, which is installed if it is not there.
type Installer = Box<dyn Fn(&StageDigest, &Project) -> Result<PathBuf, PythonError> + Send + Sync>;

/// Runs stages that are written in Python.
pub type PythonRunner = PooledRunner<PythonLauncher>;

/// Starts the processes of Python stages. Cheap to make: nothing is installed until a stage is used.
pub struct PythonLauncher {
    host: Arc<Host>,
    /// The SDK is there too.
    pub(crate) environments: Environments,
    installer: Installer,
    /// Where snapshots lie, and what they are of.
    pub(crate) origins: Mutex<BTreeMap<String, String>>,
}

impl PythonLauncher {
    /// A launcher that installs packages without a word.
    pub fn new(host: Arc<Host>, environments: Environments) -> Self {
        let (own, helper) = (environments.clone(), host.helper().to_owned());
        let installer = Box::new(move |_: &StageDigest, project: &Project| {
            own.install(project, Tools::new(&helper, &|| true), &mut |_| ())
        });
        Self { host, environments, installer, origins: Mutex::default() }
    }

    /// Has somebody else install packages, who may tell of it or refuse to.
    #[must_use]
    pub fn installing(
        self,
        installer: impl Fn(&StageDigest, &Project) -> Result<PathBuf, PythonError> + Send + Sync + 'static,
    ) -> Self {
        Self { installer: Box::new(installer), ..self }
    }

    fn made(&self, Launch { project, entry }: &Launch) -> Result<Made, PythonError> {
        let environment = (self.installer)(&project.digest(entry), project)?;
        let snapshot = self.environments.snapshots.make(project.tree())?;
        Ok(Made { environment, snapshot, sdk: sdk::unpack(&self.environments.home)? })
    }
}

impl Launcher for PythonLauncher {
    type Launch = Launch;
    type Key = ProcessKey;

    fn key(&self, launch: &Launch, limits: &Limits) -> ProcessKey {
        ProcessKey::of(launch, &self.environments, limits)
    }

    fn start(
        &self,
        launch: &Launch,
        limits: &Limits,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, LaunchError> {
        let made = self.made(launch)?;
        let folder = self.host.folder()?;
        let sandbox = sandbox(launch, &made, limits, &folder);
        Ok(self.host.start(sandbox, limits.processors(), folder, limits.isolate.into(), is_wanted)?)
    }
}
