//! What can go wrong, by whose fault it is.

use std::path::PathBuf;

use flowc_planner::Diagnostic;
use flowc_planner::quantity::count;

use crate::place::Place;
use crate::secrets::MissingSecret;

/// A failure of planning or running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline has mistakes; each has its place in the text.
    #[error("the pipeline has {}", count(.0.len(), "mistake"))]
    Pipeline(Vec<Diagnostic>),
    /// The pipeline does not fit the lock, under `--locked`, or the lock cannot be read.
    #[error("{message}")]
    Locked {
        /// What is wrong, and what to do.
        message: String,
        /// What does not fit, each with its place in the text.
        problems: Vec<Diagnostic>,
    },
    /// A source could not be read.
    #[error("source `{source_name}`: {message}")]
    Source {
        /// The source.
        source_name: String,
        /// File, row, reason, and what to do.
        message: String,
    },
    /// A stage failed.
    #[error("stage `{stage}`{place}: {message}")]
    Stage {
        /// The stage.
        stage: String,
        /// Where in its input.
        place: Box<Place>,
        /// What happened.
        message: String,
    },
    /// Stages that have work need secrets that have no value. Nothing has run.
    #[error("nothing was run: {} {} no value{}", count(.0.len(), "secret"), if .0.len() == 1 { "has" } else { "have" }, lines(.0))]
    Secrets(Vec<MissingSecret>),
    /// A sink could not be written.
    #[error("sink `{sink}`: {message}")]
    Sink {
        /// The sink.
        sink: String,
        /// Path, reason, and what to do.
        message: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] flowc_store::StoreError),
    /// A file could not be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The command names something that is not in the pipeline.
    #[error("{0}")]
    Request(String),
    /// The run was stopped. What was finished is kept.
    #[error("stopped; what was finished is kept, and the next run goes on from there")]
    Cancelled,
}

fn lines(missing: &[MissingSecret]) -> String {
    missing.iter().map(|one| format!("\n  {one}")).collect()
}

/// Several parts of a run can fail, each on its own.
#[derive(Debug)]
pub struct RunFailure {
    /// All that failed; at least one.
    pub errors: Vec<Error>,
    /// What was done nevertheless, where the run got so far as to have a plan.
    pub report: Option<Box<crate::RunReport>>,
}

impl From<Error> for RunFailure {
    fn from(error: Error) -> Self {
        Self { errors: vec![error], report: None }
    }
}
