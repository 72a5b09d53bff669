//! Files of this machine by which an engine is told what a container may do and see. They last as long as it runs.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use flowc_platform::{OwnedFolder, sweep_folders};
use flowc_sandbox::{PROCESSOR_LISTS, PROCESSORS, counted, seccomp_profile};

use crate::ContainerError;
use crate::engine::Engine;

/// A file or folder of this machine that a container sees.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) writable: bool,
}

/// How the names of the folders of containers start.
const PREFIX: &str = "flowc-container-";

/// The files of one container.
pub(crate) struct Files {
    /// The option by which the engine refuses system calls.
    pub(crate) seccomp: String,
    /// What says how many processors there are.
    processors: PathBuf,
    _folder: OwnedFolder,
}

impl Files {
    /// Those of a container on so many processors.
    ///
    /// # Errors
    /// If they can't be written.
    pub(crate) fn new(engine: &Engine, processors: usize) -> Result<Self, ContainerError> {
        let parent = std::env::temp_dir();
        let failed = || ContainerError::io(&parent);
        let folder = OwnedFolder::make(&parent, PREFIX).map_err(failed())?;
        // The container's user is another one.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).map_err(failed())?;
        let written = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o444))?;
            Ok(path)
        };
        let profile = seccomp_profile();
        // Podman is told the path of a profile, and Docker the profile itself.
        let seccomp = match engine.is_podman {
            true => written("seccomp.json", &profile).map_err(failed())?.display().to_string(),
            false => profile,
        };
        let processors = written("processors", &counted(processors)).map_err(failed())?;
        Ok(Self { seccomp: format!("seccomp={seccomp}"), processors, _folder: folder })
    }

    /// Removes the files of containers whose flowc was killed.
    pub(crate) fn sweep() {
        sweep_folders(&std::env::temp_dir(), PREFIX);
    }

    /// What the container sees of them.
    pub(crate) fn given(&self) -> impl Iterator<Item = Given> + '_ {
        let folder = PathBuf::from(PROCESSORS);
        let given = move |name| Given { from: self.processors.clone(), to: folder.join(name), writable: false };
        PROCESSOR_LISTS.into_iter().map(given)
    }
}
