//! Why a Python stage can't be run.

use std::path::{Path, PathBuf};

use flowc_code::{CodeError, ToolError};
use flowc_planner::catalogue::Problem;
use flowc_process::{LaunchError, ProcessError};

/// Why a Python stage can't be run.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// There is no project.
    #[error("{} has no pyproject.toml: a `python` stage is a folder with one, see `docs/python.md`", .dir.display())]
    NotAProject {
        /// The folder.
        dir: PathBuf,
    },
    /// Versions are not pinned.
    #[error("{} has no uv.lock, so its packages are not pinned: run `uv lock` there", .dir.display())]
    NoLock {
        /// The folder.
        dir: PathBuf,
    },
    /// A file that has to be TOML.
    #[error("{}: {reason}", .path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The project can't be read, or not kept.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The tool is missing or does not start.
    #[error("`uv` can't be run ({reason}): `python` stages need it, `pip install uv` or https://docs.astral.sh/uv")]
    NoUv {
        /// What happened.
        reason: String,
    },
    /// No tool can be run here.
    #[error(transparent)]
    NoTools(ToolError),
    /// No interpreter fits.
    #[error("there is no Python for {}: {reason}", .dir.display())]
    NoInterpreter {
        /// The project.
        dir: PathBuf,
        /// What uv or the interpreter said.
        reason: String,
    },
    /// The packages are not there, and may not be installed.
    #[error("the packages of {} are not installed, and --no-build refuses that; run once without --no-build, on a machine where you trust it", .dir.display())]
    Refused {
        /// The project.
        dir: PathBuf,
    },
    /// The packages can't be installed.
    #[error("the packages of {} can't be installed:\n{output}", .dir.display())]
    Install {
        /// The project.
        dir: PathBuf,
        /// What uv said.
        output: String,
    },
    /// The packages were built again, and are not what they were.
    #[error(
        "the packages of {} were built again and became others than before, which `uv.lock` does not rule out (build tools are not in \
         it): run again, and results are made with these",
        .dir.display()
    )]
    Rebuilt {
        /// The project.
        dir: PathBuf,
    },
    /// The run was stopped.
    #[error("stopped")]
    Stopped,
    /// The process does not serve.
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

impl PythonError {
    /// An error with a file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Whether it is the machine that lacks or refuses something.
    pub fn is_of_machine(&self) -> bool {
        matches!(
            self,
            Self::NoUv { .. }
                | Self::NoTools(_)
                | Self::NoInterpreter { .. }
                | Self::Rebuilt { .. }
                | Self::Process(_)
                | Self::Io { .. }
        )
    }
}

impl From<PythonError> for LaunchError {
    fn from(error: PythonError) -> Self {
        match error {
            PythonError::Process(error) => Self::Process(error),
            PythonError::Stopped => Self::Stopped,
            other => Self::Problem(other.into()),
        }
    }
}

impl From<PythonError> for Problem {
    fn from(error: PythonError) -> Self {
        match error.is_of_machine() {
            true => Self::of_machine(error.to_string()),
            false => Self::new(error.to_string()),
        }
    }
}
