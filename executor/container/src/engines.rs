//! The engine of this machine, found when it is first needed; and programs of this machine in containers.

use std::sync::{Arc, Mutex, PoisonError};

use flowc_flight::Network;
use flowc_process::{Contain, Folder, Host, ProcessError, Server};
use flowc_sandbox::Sandbox;

use crate::ContainerError;
use crate::container::{Container, Spec};
use crate::contents::Contents;
use crate::engine::Engine;
use crate::image::build;
use crate::owner::sweep;
use crate::recipe::Recipe;

/// An image in which there is nothing: what runs there is mounted.
const EMPTY: &str = "FROM scratch\nENTRYPOINT [\"/none\"]";

/// Finds the engine, once. Clones share it.
#[derive(Clone)]
pub struct Engines {
    host: Arc<Host>,
    found: Arc<Mutex<Option<Arc<Engine>>>>,
}

impl Engines {
    /// Nothing is looked for yet. Sockets and temporary files are the host's.
    pub fn new(host: Arc<Host>) -> Self {
        Self { host, found: Arc::default() }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The engine. One that was not there is looked for again. Containers that a killed flowc left are removed first.
    pub(crate) fn get(&self) -> Result<Arc<Engine>, ContainerError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = &*found {
            return Ok(engine.clone());
        }
        let engine = Arc::new(Engine::find(self.host.network()?.runtime())?);
        sweep(&engine);
        *found = Some(engine.clone());
        Ok(engine)
    }

    /// Starts a container, and waits until it listens.
    pub(crate) fn start(&self, spec: &Spec, folder: Folder) -> Result<Container, ContainerError> {
        Container::start(&self.get()?, spec, folder, self.host.network()?)
    }

    /// Waits until what was to be removed is gone.
    pub fn settle(&self) {
        if let Some(engine) = &*self.found.lock().unwrap_or_else(PoisonError::into_inner) {
            engine.settle();
        }
    }

    /// The id of the empty image, which the engine has then.
    fn empty(&self, engine: &Engine) -> Result<String, ContainerError> {
        let broken = |error| ContainerError::Recipe { path: "Containerfile".into(), error };
        let recipe = Recipe::parse(EMPTY).map_err(broken)?;
        let image = build(&recipe, &Contents::default(), None, &std::env::temp_dir())?;
        if engine.image(&image.id)?.is_none() {
            engine.load(image.archive)?;
        }
        Ok(image.id)
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

impl Contain for Engines {
    fn start(&self, sandbox: &Sandbox, folder: Folder) -> Result<Box<dyn Server>, ProcessError> {
        let started = self.get().and_then(|engine| {
            let image = self.empty(&engine)?;
            Ok(self.start(&Spec::of_sandbox(&image, sandbox), folder)?)
        });
        match started {
            Ok(container) => Ok(Box::new(container)),
            Err(ContainerError::Process(error)) => Err(error),
            Err(other) => Err(ProcessError::Refused(other.to_string())),
        }
    }
}
