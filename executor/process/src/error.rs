//! Why a program does not serve.

use std::path::{Path, PathBuf};

use flowc_planner::catalogue::Problem;
use flowc_runner::{StageError, StageFault};

/// Why a program does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The path of a socket would be longer than systems allow.
    #[error("no folder for a socket has a path that is short enough: {} has more than 75 bytes; set TMPDIR to a shorter one", .folder.display())]
    LongPath {
        /// The folder of temporary files.
        folder: PathBuf,
    },
    /// The program does not come up.
    #[error("its process does not start: {reason}")]
    Start {
        /// How it ended, and what it printed.
        reason: String,
    },
    /// There are fewer processors than it is to have.
    #[error(
        "`cpus {asked}` asks for more processors than the {there} that flowc may use here, and results may depend on their \
         number; write a smaller one, or run it on a machine that has them"
    )]
    Processors {
        /// How many it is to have.
        asked: usize,
        /// How many there are.
        there: usize,
    },
    /// What is to start it can't; in words.
    #[error("{0}")]
    Refused(String),
    /// A file can't be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
}

impl ProcessError {
    /// An error with a file.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Why the program of a stage is not started.
#[derive(Debug)]
pub enum LaunchError {
    /// It does not serve.
    Process(ProcessError),
    /// The run was stopped.
    Stopped,
    /// What it is made of can't be had.
    Problem(Problem),
}

impl LaunchError {
    /// What it means for a stage that was to run there.
    pub fn of_stage(self, stage: &str) -> StageError {
        let fault = match self {
            // It may have been killed, or the machine have been short of something.
            Self::Process(ProcessError::Start { reason }) => StageFault::Crashed(reason),
            Self::Process(other) => StageFault::Problem { message: other.to_string(), config_path: None },
            Self::Stopped => StageFault::Cancelled,
            Self::Problem(problem) => StageFault::Problem { message: problem.message, config_path: None },
        };
        StageError::new(stage, fault)
    }
}

impl From<ProcessError> for LaunchError {
    fn from(error: ProcessError) -> Self {
        Self::Process(error)
    }
}

impl From<Problem> for LaunchError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<LaunchError> for Problem {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Process(error) => Self::of_machine(error.to_string()),
            LaunchError::Stopped => Self::new("stopped"),
            LaunchError::Problem(problem) => problem,
        }
    }
}
