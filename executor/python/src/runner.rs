//! The runner: stages by digest, in processes that are started when they are needed and used again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flowc_code::Tools;
use flowc_flight::{Connection, Stages};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Limits;
use flowc_process::{Host, Lent, Pool, Registry, Server};
use flowc_runner::{Between, ChainRunner, Instance, Invocation, Outlet, Runner, StageError, StageFault};

use crate::launch::{Kind, Launch, Made, sandbox};
use crate::{Environments, Project, PythonError, sdk};

/// Gives the environment of a stage, which is installed if it is not there.
type Installer = Box<dyn Fn(&StageDigest, &Project) -> Result<PathBuf, PythonError> + Send + Sync>;

/// Runs stages that are written in Python. Cheap to make: nothing is installed or started until a stage is used.
pub struct PythonRunner {
    host: Arc<Host>,
    /// The SDK is there too.
    environments: Environments,
    installer: Installer,
    /// Bytes of memory for a process that is asked at plan time.
    memory: u64,
    launches: Registry<Launch>,
    /// Where snapshots lie, and what they are of.
    origins: Mutex<BTreeMap<String, String>>,
    pool: Pool<Kind, Box<dyn Server>>,
}

impl PythonRunner {
    /// A runner that knows no stage yet, and installs packages without a word. `memory` is what a stage may have where the
    /// pipeline does not say.
    pub fn new(host: Arc<Host>, environments: Environments, memory: u64) -> Self {
        let (own, helper) = (environments.clone(), host.helper().to_owned());
        let installer = Box::new(move |_: &StageDigest, project: &Project| {
            own.install(project, Tools::new(&helper, &|| true), &mut |_| ())
        });
        Self {
            host,
            environments,
            installer,
            memory,
            launches: Registry::default(),
            origins: Mutex::default(),
            pool: Pool::default(),
        }
    }

    /// Has somebody else install packages, who may tell of it or refuse to.
    #[must_use]
    pub fn installing(
        self,
        installer: impl Fn(&StageDigest, &Project) -> Result<PathBuf, PythonError> + Send + Sync + 'static,
    ) -> Self {
        Self { installer: Box::new(installer), ..self }
    }

    /// Registers a stage.
    pub fn add(&self, launch: Launch) -> StageDigest {
        let digest = launch.project.digest(&launch.entry);
        let tree = launch.project.tree();
        let snapshot = self.environments.snapshots.place(tree);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        self.origins.lock().unwrap_or_else(PoisonError::into_inner).insert(text(&snapshot), text(&tree.base));
        self.launches.add(digest, launch);
        digest
    }

    /// What a stage said, with the paths of its files as its author knows them.
    pub fn shown(&self, text: String) -> String {
        if !text.contains(&*self.environments.snapshots.home().to_string_lossy()) {
            return text;
        }
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins.iter().fold(text, |text, (snapshot, origin)| text.replace(snapshot, origin))
    }

    /// What a registered stage is, before any config.
    ///
    /// # Errors
    /// If it can't be started, or describes itself wrongly.
    pub fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        self.ask(digest, |connection, launch| connection.signature(&launch.entry, *digest, launch.project.runner()))
    }

    /// What a registered stage makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with the stage.
    pub fn describe(&self, question: &Question) -> Result<Description, Problem> {
        self.ask(&question.digest, |connection, launch| connection.describe(&launch.entry, question))
    }

    /// Asks with a process that waits, or a new one.
    fn ask<T>(
        &self,
        digest: &StageDigest,
        question: impl FnOnce(&Connection, &Launch) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let launch = self.launches.get(digest).map_err(Problem::new)?;
        let limits = Limits { memory: Some(self.memory), ..Limits::default() };
        let process = self.process(&launch, &limits)?;
        process.ask(|connection| question(connection, &launch))
    }

    /// Ends all processes that are not at work.
    pub fn end_idle(&self) {
        self.pool.end_idle();
    }

    fn process(&self, launch: &Launch, limits: &Limits) -> Result<Lent<Kind, Box<dyn Server>>, PythonError> {
        self.pool.lend(Kind::of(launch, &self.environments, limits), |_| self.start(launch, limits, &|| true))
    }

    fn start(
        &self,
        launch: &Launch,
        limits: &Limits,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, PythonError> {
        let Launch { project, entry } = launch;
        let environment = (self.installer)(&project.digest(entry), project)?;
        let snapshot = self.environments.snapshots.make(project.tree())?;
        let made = Made { environment, snapshot, sdk: sdk::unpack(&self.environments.home)? };
        let folder = self.host.folder()?;
        let sandbox = sandbox(launch, &made, limits, &folder);
        Ok(self.host.start(sandbox, limits.processors(), folder, limits.isolate.into(), is_wanted)?)
    }
}

impl Runner for PythonRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        self.open_chain(std::slice::from_ref(invocation), Vec::new(), outlet)
    }

    fn prepare(&self, stage: &StageDigest, limits: &Limits, is_wanted: &dyn Fn() -> bool) {
        let Ok(launch) = self.launches.get(stage) else { return };
        let kind = Kind::of(&launch, &self.environments, limits);
        self.pool.prepare(kind, |_| self.start(&launch, limits, is_wanted));
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
        let launches = self.launches.of(stages)?;
        let process = self.process(&launches[0], &first.limits).map_err(|error| match error {
            PythonError::Process(error) => error.of_stage(&first.stage),
            PythonError::Stopped => StageError::new(&*first.stage, StageFault::Cancelled),
            other => {
                let fault = StageFault::Problem { message: other.to_string(), config_path: None };
                StageError::new(&*first.stage, fault)
            }
        })?;
        let entries = launches.iter().map(|launch| launch.entry.clone()).collect();
        process.open(Stages { entries, invocations: stages, between }, outlet)
    }
}
