//! Files of this machine by which an engine is told what a container may do and see. They last as long as it runs.

use std::io::Write;
use std::path::PathBuf;

use flowc_sandbox::{PROCESSOR_LISTS, PROCESSORS, counted, seccomp_profile};
use tempfile::NamedTempFile;

use crate::ContainerError;
use crate::engine::Engine;

/// A file or folder of this machine that a container sees.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    pub(crate) writable: bool,
}

/// The files of one container.
pub(crate) struct Files {
    /// The option by which the engine refuses system calls.
    pub(crate) seccomp: String,
    /// What says how many processors there are.
    processors: NamedTempFile,
    /// What Podman reads: it is told the path of a profile, and Docker the profile itself.
    _profile: Option<NamedTempFile>,
}

impl Files {
    /// Those of a container on so many processors.
    ///
    /// # Errors
    /// If they can't be written.
    pub(crate) fn new(engine: &Engine, processors: usize) -> Result<Self, ContainerError> {
        let profile = seccomp_profile();
        let file = engine.is_podman.then(|| written(&profile)).transpose()?;
        let seccomp = file.as_ref().map_or(profile, |file| file.path().display().to_string());
        let processors = written(&counted(processors))?;
        Ok(Self { seccomp: format!("seccomp={seccomp}"), processors, _profile: file })
    }

    /// What the container sees of them.
    pub(crate) fn given(&self) -> impl Iterator<Item = Given> + '_ {
        let folder = PathBuf::from(PROCESSORS);
        let given =
            move |name| Given { from: self.processors.path().to_owned(), to: folder.join(name), writable: false };
        PROCESSOR_LISTS.into_iter().map(given)
    }
}

fn written(text: &str) -> Result<NamedTempFile, ContainerError> {
    use std::os::unix::fs::PermissionsExt;
    let write = || {
        let mut file = NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        // The container's user is another one.
        file.as_file().set_permissions(PermissionsExt::from_mode(0o444))?;
        Ok(file)
    };
    write().map_err(ContainerError::io(&std::env::temp_dir()))
}
