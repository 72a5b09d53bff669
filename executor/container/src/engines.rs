//! The engine of this machine, found when it is first needed; and programs of this machine in containers.

use std::sync::{Arc, Mutex};

use flowc_flight::Network;
use flowc_platform::lock;
use flowc_process::{ContainerLauncher, Folder, LentProcessors, ProcessError, Server};
use flowc_sandbox::Sandbox;

use crate::ContainerError;
use crate::container::{Container, Spec};
use crate::contents::Contents;
use crate::engine::Engine;
use crate::files::Files;
use crate::image::build;
use crate::owner::sweep;
use crate::recipe::Recipe;

/// An image in which there is nothing: what runs there is mounted.
const EMPTY: &str = "FROM scratch\nENTRYPOINT [\"/none\"]";

/// Finds the engine, once.
#[derive(Default)]
pub struct Engines {
    found: Mutex<Option<Arc<Engine>>>,
}

impl Engines {
    /// The engine. One that was not there is looked for again. Containers that a killed flowc left are removed first.
    pub(crate) fn get(&self, network: &Network) -> Result<Arc<Engine>, ContainerError> {
        let mut found = lock(&self.found);
        if let Some(engine) = &*found {
            return Ok(engine.clone());
        }
        let engine = Arc::new(Engine::find(network.runtime())?);
        sweep(&engine);
        Files::sweep();
        *found = Some(engine.clone());
        Ok(engine)
    }

    /// Waits until what was to be removed is gone.
    pub(crate) fn settle(&self) {
        if let Some(engine) = &*lock(&self.found) {
            engine.settle();
        }
    }

    /// The name of the empty image, which the engine has then.
    fn empty(&self, engine: &Engine) -> Result<String, ContainerError> {
        let broken = |error| ContainerError::Recipe { path: "Containerfile".into(), error };
        let recipe = Recipe::parse(EMPTY).map_err(broken)?;
        engine.load(build(&recipe, &Contents::default(), None, &std::env::temp_dir())?)
    }
}

/// The name and version of this machine's engine: `Docker 20.10.24`.
///
/// # Errors
/// If none answers, or may be asked.
pub fn engine() -> Result<String, ContainerError> {
    let network = Network::new().map_err(|error| ProcessError::Refused(error.to_string()))?;
    Ok(Engine::find(network.runtime())?.description().to_owned())
}

impl ContainerLauncher for Engines {
    fn start(
        &self,
        sandbox: &Sandbox,
        processors: LentProcessors,
        folder: Folder,
        network: &Network,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, ProcessError> {
        let started = self.get(network).and_then(|engine| {
            let image = self.empty(&engine)?;
            let spec = Spec::of_sandbox(&image, sandbox);
            Container::start(&engine, &spec, processors, folder, network, is_wanted)
        });
        match started {
            Ok(container) => Ok(Box::new(container)),
            Err(ContainerError::Process(error)) => Err(error),
            Err(other) => Err(ProcessError::Refused(other.to_string())),
        }
    }
}
