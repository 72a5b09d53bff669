//! The runner: stages by digest, in containers that are started when they are needed and used again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::Limits;
use flowc_process::{Host, LaunchError, Launcher, PooledRunner, Server};

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
    fn image_digest(&self) -> &str {
        self.image.rsplit_once('@').map_or(&self.image, |(_, digest)| digest)
    }
}

impl flowc_process::Launch for Launch {
    fn digest(&self) -> StageDigest {
        let mut hasher = KeyHasher::new("flowc container stage 1");
        hasher.bytes(self.image_digest().as_bytes()).bytes(self.entry.as_bytes());
        StageDigest::new(hasher.finish())
    }

    fn entry(&self) -> String {
        self.entry.clone()
    }

    fn runner(&self) -> BTreeMap<String, String> {
        let image = self.image_digest().rsplit(':').next().unwrap_or_default();
        [("image".to_owned(), image.get(..12).unwrap_or(image).to_owned())].into()
    }
}

/// What makes containers alike: any of them can do the work of any other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ContainerKey {
    image: String,
    memory: Option<u64>,
    processors: u32,
}

/// Runs stages in containers.
pub type ContainerRunner = PooledRunner<ImageLauncher>;

/// Starts containers of images. Cheap to make: the engine is looked for when a stage is used.
pub struct ImageLauncher {
    engines: Arc<Engines>,
    host: Arc<Host>,
    /// Notes of images that were made.
    home: PathBuf,
    /// Temporary files.
    spool: PathBuf,
    /// Whether images may be made and fetched.
    build: bool,
}

impl ImageLauncher {
    /// A launcher that notes in `home` which images were made; archives are put into `spool` for a while.
    pub fn new(engines: Arc<Engines>, host: Arc<Host>, home: PathBuf, spool: PathBuf) -> Self {
        Self { engines, host, home, spool, build: true }
    }

    /// Says whether images that the engine does not have may be made and fetched when a stage needs them.
    #[must_use]
    pub fn building(self, build: bool) -> Self {
        Self { build, ..self }
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

    fn engine(&self) -> Result<Arc<Engine>, ContainerError> {
        self.engines.get(self.host.network()?)
    }

    fn container(
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

impl Launcher for ImageLauncher {
    type Launch = Launch;
    type Key = ContainerKey;

    fn key(&self, launch: &Launch, limits: &Limits) -> ContainerKey {
        ContainerKey { image: launch.image.clone(), memory: limits.memory, processors: limits.processors() }
    }

    fn start(
        &self,
        launch: &Launch,
        limits: &Limits,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, LaunchError> {
        Ok(Box::new(self.container(launch, limits, is_wanted)?))
    }

    fn settle(&self) {
        self.engines.settle();
    }
}
