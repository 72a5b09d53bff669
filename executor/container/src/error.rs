//! Why a stage can't run in a container.

use std::path::{Path, PathBuf};

use flowc_planner::catalogue::Problem;
use flowc_process::{LaunchError, ProcessError};

use crate::recipe::RecipeError;

/// Why a stage can't run in a container.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// Nobody answers.
    #[error(
        "no container engine answers at {tried}; install Docker or Podman and start it, or name its socket: \
         DOCKER_HOST=unix:///path (`flowc doctor` shows what is found)"
    )]
    NoEngine {
        /// Where it was looked for.
        tried: String,
    },
    /// It is another user's, or of a kind that flowc can't work with.
    #[error(
        "{socket} can't be used: {reason} (a socket that belongs to a group, for Docker `docker`, is for its members)"
    )]
    NoPermission {
        /// The engine's socket.
        socket: String,
        /// What the system says.
        reason: String,
    },
    /// It is on another machine.
    #[error(
        "the engine at {host} is not on this machine; flowc talks to one through a Unix socket: DOCKER_HOST=unix:///path"
    )]
    Remote {
        /// As named.
        host: String,
    },
    /// There is no such image, and it can't be fetched.
    #[error("there is no image `{reference}` here, and it can't be fetched: {reason}")]
    NoImage {
        /// As in the text.
        reference: String,
        /// What the engine said.
        reason: String,
    },
    /// There is an image of that name with another digest.
    #[error("`{reference}` is not the image that is here under that name: that one is {found}")]
    OtherDigest {
        /// As in the text.
        reference: String,
        /// What is here.
        found: String,
    },
    /// There is nothing to build from.
    #[error("{} has no Containerfile; a `container` stage is a folder with one, see `docs/containers.md`", .folder.display())]
    NoRecipe {
        /// The folder.
        folder: PathBuf,
    },
    /// A mistake in it.
    #[error("{}: {error}", .path.display())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// The mistake.
        error: RecipeError,
    },
    /// It copies what is not there.
    #[error("{}: the Containerfile copies `{source_path}` in line {line}, and there is no such file", .folder.display())]
    NothingToCopy {
        /// The folder.
        folder: PathBuf,
        /// From 1.
        line: usize,
        /// The source path, as the text has it.
        source_path: String,
    },
    /// It copies something below a file.
    #[error("{}: after line {line} of the Containerfile `/{path}` would lie below what is no folder", .folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// From 1.
        line: usize,
        /// In the image.
        path: String,
    },
    /// The engine does not have it, and may not get it.
    #[error("the engine does not have the image `{image}`, and --no-build refuses to make or fetch images")]
    Refused {
        /// What it is.
        image: String,
    },
    /// A file is not what was hashed.
    #[error("{} changed while its image was made; run again", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file can't be read or kept.
    #[error(transparent)]
    Code(#[from] flowc_code::CodeError),
    /// It does not say what to run.
    #[error("the image `{image}` has no program to start; give it an ENTRYPOINT that serves the stage protocol")]
    NoProgram {
        /// What it is.
        image: String,
    },
    /// The engine refuses something.
    #[error("the container engine can't {step}: {reason}")]
    Engine {
        /// What was asked.
        step: &'static str,
        /// What it said.
        reason: String,
    },
    /// The program does not serve.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A file can't be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

impl ContainerError {
    /// An error with a file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// What an engine answers to a request.
    pub(crate) fn engine(step: &'static str) -> impl FnOnce(bollard::errors::Error) -> Self {
        move |error| Self::Engine { step, reason: said(&error) }
    }
}

impl From<ContainerError> for LaunchError {
    fn from(error: ContainerError) -> Self {
        match error {
            ContainerError::Process(error) => Self::Process(error),
            other => Self::Problem(other.into()),
        }
    }
}

impl From<ContainerError> for Problem {
    fn from(error: ContainerError) -> Self {
        let is_of_machine = matches!(
            error,
            ContainerError::NoEngine { .. }
                | ContainerError::NoPermission { .. }
                | ContainerError::Remote { .. }
                | ContainerError::Process(_)
                | ContainerError::Io { .. }
        );
        match is_of_machine {
            true => Self::of_machine(error.to_string()),
            false => Self::new(error.to_string()),
        }
    }
}

/// The engine's words, without the library's.
pub(crate) fn said(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message.clone(),
        bollard::errors::Error::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    }
}
