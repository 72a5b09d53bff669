//! The runner: stages by digest, in containers that are started when they are needed and used again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flowc_flight::{Connection, Stages};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::Limits;
use flowc_process::{Host, Lent, Pool, Registry};
use flowc_runner::{Between, ChainRunner, Instance, Invocation, Outlet, Runner, StageError, StageFault};

use crate::ContainerError;
use crate::container::{Container, Spec};
use crate::engine::{Engine, KnownImage};
use crate::engines::Engines;
use crate::folder::ImageFolder;

/// Where an image comes from.
pub enum ImageSource {
    /// It is made from a folder.
    Folder(Box<ImageFolder>),
    /// It is known to the engine, or to a registry, under this reference.
    Reference(String),
}

/// How a stage is started.
pub struct Launch {
    /// Where its image comes from, if the engine does not have it.
    pub source: ImageSource,
    /// Its image: one that was made here, by name; or an id or a digest, `sha256:…`, or a reference with one.
    pub image: String,
    /// Which of the stages that the program serves; empty where there is but one.
    pub entry: String,
}

impl Launch {
    /// Identity of the stage.
    pub fn digest(&self) -> StageDigest {
        let mut hasher = KeyHasher::new("flowc container stage 1");
        hasher.bytes(self.image_digest().as_bytes()).bytes(self.entry.as_bytes());
        StageDigest::new(hasher.finish())
    }

    /// What identifies its runner, for people; all that matters of it is in the digest.
    fn runner(&self) -> BTreeMap<String, String> {
        let image = self.image_digest().rsplit(':').next().unwrap_or_default();
        [("image".to_owned(), image.get(..12).unwrap_or(image).to_owned())].into()
    }

    fn image_digest(&self) -> &str {
        self.image.rsplit_once('@').map_or(&self.image, |(_, digest)| digest)
    }
}

/// What makes containers alike: any of them can do the work of any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    image: String,
    memory: Option<u64>,
    processors: u32,
}

impl Kind {
    fn of(launch: &Launch, limits: &Limits) -> Self {
        Self { image: launch.image.clone(), memory: limits.memory, processors: limits.processors() }
    }
}

/// Runs stages in containers. Cheap to make: the engine is looked for when a stage is used.
pub struct ContainerRunner {
    /// Before the host, whose threads remove containers.
    pool: Pool<Kind, Container>,
    engines: Arc<Engines>,
    host: Arc<Host>,
    /// Notes of images that were made.
    home: PathBuf,
    /// Temporary files.
    spool: PathBuf,
    /// Bytes of memory for a container that is asked at plan time.
    memory: u64,
    /// Whether images may be made and fetched.
    build: bool,
    launches: Registry<Launch>,
}

impl ContainerRunner {
    /// A runner that knows no stage yet. It notes in `home` which images were made; archives are put into `spool` for a
    /// while. `memory` is what a stage may have where the pipeline does not say.
    pub fn new(engines: Arc<Engines>, host: Arc<Host>, home: PathBuf, spool: PathBuf, memory: u64) -> Self {
        let (pool, launches) = Default::default();
        Self { pool, engines, host, home, spool, memory, build: true, launches }
    }

    /// Says whether images that the engine does not have may be made and fetched when a stage needs them.
    #[must_use]
    pub fn building(self, build: bool) -> Self {
        Self { build, ..self }
    }

    /// Registers a stage.
    pub fn add(&self, launch: Launch) -> StageDigest {
        let digest = launch.digest();
        self.launches.add(digest, launch);
        digest
    }

    /// The image that is made from a folder, if it was made before.
    pub fn made(&self, folder: &ImageFolder) -> Option<String> {
        folder.made(&self.home)
    }

    /// Makes the image of a folder.
    ///
    /// # Errors
    /// If its base can't be had, or there is no engine.
    pub fn make(&self, folder: &ImageFolder, log: &mut dyn FnMut(&str)) -> Result<String, ContainerError> {
        folder.make(&*self.engine()?, &self.home, &self.spool, log)
    }

    /// The id of the image that a reference means now, if the engine has it.
    ///
    /// # Errors
    /// If there is no engine.
    pub fn find(&self, reference: &str) -> Result<Option<String>, ContainerError> {
        Ok(self.engine()?.image(reference)?.map(|image| image.id))
    }

    /// Fetches an image, and says its id.
    ///
    /// # Errors
    /// If there is none, or no engine.
    pub fn pull(&self, reference: &str, log: &mut dyn FnMut(&str)) -> Result<String, ContainerError> {
        let engine = self.engine()?;
        engine.pull(reference, log)?;
        let reason = "the engine does not have what it fetched".to_owned();
        let found = engine.image(reference)?.map(|image| image.id);
        found.ok_or_else(|| ContainerError::NoImage { reference: reference.to_owned(), reason })
    }

    /// What a registered stage is, before any config.
    ///
    /// # Errors
    /// If it can't be started, or describes itself wrongly.
    pub fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        self.ask(digest, |connection, launch| connection.signature(&launch.entry, *digest, launch.runner()))
    }

    /// What a registered stage makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with the stage.
    pub fn describe(&self, question: &Question) -> Result<Description, Problem> {
        self.ask(&question.digest, |connection, launch| connection.describe(&launch.entry, question))
    }

    /// Ends all containers that are not at work, and waits until they are gone.
    pub fn end_idle(&self) {
        self.pool.end_idle();
        self.engines.settle();
    }

    /// Asks with a container that waits, or a new one.
    fn ask<T>(
        &self,
        digest: &StageDigest,
        question: impl FnOnce(&Connection, &Launch) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let launch = self.launches.get(digest).map_err(Problem::new)?;
        let limits = Limits { memory: Some(self.memory), ..Limits::default() };
        let container = self.container(&launch, &limits)?;
        container.ask(|connection| question(connection, &launch))
    }

    fn engine(&self) -> Result<Arc<Engine>, ContainerError> {
        self.engines.get(self.host.network()?)
    }

    fn container(&self, launch: &Launch, limits: &Limits) -> Result<Lent<Kind, Container>, ContainerError> {
        self.pool.lend(Kind::of(launch, limits), |_| self.start(launch, limits, &|| true))
    }

    fn start(
        &self,
        launch: &Launch,
        limits: &Limits,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Container, ContainerError> {
        let engine = self.engine()?;
        let image = match engine.image(&launch.image)? {
            Some(image) => image,
            None => self.fetch(&engine, launch)?,
        };
        let (folder, processors) = (self.host.folder()?, self.host.lend(limits.processors())?);
        let spec = Spec::of_image(&launch.image, image.volumes, &folder, limits);
        Container::start(&engine, &spec, processors, folder, self.host.network()?, is_wanted)
    }

    /// Gives the engine an image that it does not have any more.
    fn fetch(&self, engine: &Engine, launch: &Launch) -> Result<KnownImage, ContainerError> {
        if !self.build {
            return Err(ContainerError::Refused { image: launch.image.clone() });
        }
        let found = match &launch.source {
            ImageSource::Folder(folder) => folder.make(engine, &self.home, &self.spool, &mut |_| {})?,
            ImageSource::Reference(reference) => {
                engine.pull(reference, &mut |_| {})?;
                engine.image(reference)?.map_or_else(String::new, |image| image.id)
            }
        };
        let due = || ContainerError::OtherDigest { reference: launch.image.clone(), found };
        engine.image(&launch.image)?.ok_or_else(due)
    }
}

impl Runner for ContainerRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        self.open_chain(std::slice::from_ref(invocation), Vec::new(), outlet)
    }

    fn prepare(&self, stage: &StageDigest, limits: &Limits, is_wanted: &dyn Fn() -> bool) {
        let Ok(launch) = self.launches.get(stage) else { return };
        self.pool.prepare(Kind::of(&launch, limits), |_| self.start(&launch, limits, is_wanted));
    }
}

impl ChainRunner for ContainerRunner {
    fn open_chain(
        &self,
        stages: &[Invocation],
        between: Vec<Box<dyn Between>>,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageError> {
        let first = &stages[0];
        let launches = self.launches.of(stages)?;
        let container = self.container(&launches[0], &first.limits).map_err(|error| match error {
            ContainerError::Process(error) => error.of_stage(&first.stage),
            other => {
                let fault = StageFault::Problem { message: other.to_string(), config_path: None };
                StageError::new(&*first.stage, fault)
            }
        })?;
        let entries = launches.iter().map(|launch| launch.entry.clone()).collect();
        container.open(Stages { entries, invocations: stages, between }, outlet)
    }
}
