//! What can go wrong, by whose fault it is. Every other room may name these types; this one knows none of them.

mod report;
mod site;

use std::path::PathBuf;

use flowc_columns::ColumnsError;
use flowc_planner::Diagnostic;
use flowc_planner::quantity::count;
use flowc_platform::Panic;
use flowc_store::StoreError;

pub use report::{ErrorReport, RowsReport};
pub use site::{FailureSite, WorkItem};

/// The error that a failure comes from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failure of planning or running.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline has mistakes; each has its place in the text.
    #[error("the pipeline has {}", count(.0.len(), "mistake"))]
    Pipeline(Vec<Diagnostic>),
    /// This machine lacks what stages need, or refuses it; each has its place in the text.
    #[error("this machine lacks what the pipeline needs")]
    Machine(Vec<Diagnostic>),
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
        /// What it comes from, if that is an error.
        #[source]
        cause: Option<Cause>,
    },
    /// A stage failed. Its message is without secrets, so the error that it comes from is not kept.
    #[error("stage `{stage}`{place}: {message}")]
    Stage {
        /// The stage's name.
        stage: String,
        /// Where in its input.
        place: Box<FailureSite>,
        /// What happened.
        message: String,
    },
    /// An assert has rows, each of which breaks its rule.
    #[error("assert `{assert}`: {message}")]
    Assert {
        /// The assert.
        assert: String,
        /// How many rows, the first ones, and what to do.
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
        /// What it comes from, if that is an error.
        #[source]
        cause: Option<Cause>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Values do not fit their type.
    #[error("cannot {action}: {cause}")]
    Columns {
        /// What was tried: a verb and its object.
        action: String,
        /// Which values, and what to do.
        #[source]
        cause: ColumnsError,
    },
    /// A file could not be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The command asks for something that cannot be: it names what is not in the pipeline, or what a run does not allow.
    #[error("{0}")]
    Request(String),
    /// The machine refused something that every run needs.
    #[error("cannot {action}: {cause}")]
    System {
        /// What was tried: a verb and its object.
        action: String,
        /// The machine's answer.
        #[source]
        cause: Cause,
    },
    /// This machine can't isolate stages as the caller asks. Nothing has run.
    #[error(
        "nothing was run, since isolation is required: `{stages}` would run in processes that are not isolated in full: \
         {missing}. Allow it (`flowc doctor` says what is missing), or run the stages with `isolate \"container\"`"
    )]
    Isolation {
        /// The stages, by name.
        stages: String,
        /// What is missing, in words.
        missing: String,
    },
    /// Something outside changed what a run was using: another process, or the user.
    #[error("{0}")]
    Changed(String),
    /// A result that a run relies on is not in the store any more. The run starts over.
    #[error("{0}")]
    Lost(String),
    /// A fault of flowc itself.
    #[error("a bug in flowc, {task}: {cause}; please report it with what you ran")]
    Internal {
        /// What was being done: a participle and its object.
        task: String,
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// The run was stopped. What was finished is kept.
    #[error("stopped; what was finished is kept, and the next run goes on from there")]
    Cancelled,
}

/// Whose fault an error is, and so who can put it right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// The text of the pipeline, the settings or the command is wrong.
    User,
    /// The pipeline does not fit its lock.
    Lock,
    /// The machine can't isolate stages as the caller asks.
    Isolation,
    /// A stage, a source or a sink failed.
    Run,
    /// The machine refused something, or something outside interfered.
    Environment,
    /// The store cannot be used.
    Store,
    /// flowc is wrong.
    Internal,
    /// The run was stopped.
    Stopped,
}

impl Error {
    /// A source could not be read.
    pub(crate) fn source(name: &str, error: impl Into<Cause>) -> Self {
        let cause = error.into();
        Self::Source { source_name: name.to_owned(), message: cause.to_string(), cause: Some(cause) }
    }

    /// A sink could not be written.
    pub(crate) fn sink(name: &str, error: impl Into<Cause>) -> Self {
        let cause = error.into();
        Self::Sink { sink: name.to_owned(), message: cause.to_string(), cause: Some(cause) }
    }

    /// The machine refused an action.
    pub(crate) fn system<E: Into<Cause>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |cause| Self::System { action: action.into(), cause: cause.into() }
    }

    /// A fault of flowc, met during a task.
    pub(crate) fn internal<E: Into<Cause>>(task: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |cause| Self::Internal { task: task.into(), cause: cause.into() }
    }

    /// Columns that can't be put together: a fault of the data if its values do not fit their type, else one of flowc.
    pub(crate) fn columns(action: &str) -> impl Fn(ColumnsError) -> Self {
        move |cause| match cause.is_of_data() {
            true => Self::Columns { action: action.to_owned(), cause },
            false => Self::Internal { task: format!("trying to {action}"), cause: cause.into() },
        }
    }

    /// Does a task of flowc's. A panic is an internal fault that names the task.
    pub(crate) fn catch<T>(task: impl FnOnce() -> String, call: impl FnOnce() -> Result<T, Self>) -> Result<T, Self> {
        flowc_platform::caught(call).unwrap_or_else(|panic: Panic| Err(Self::internal(task())(panic)))
    }

    /// Whose fault it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Pipeline(_) | Self::Secrets(_) | Self::Request(_) => ErrorClass::User,
            Self::Locked { .. } => ErrorClass::Lock,
            Self::Isolation { .. } => ErrorClass::Isolation,
            Self::Source { .. } | Self::Stage { .. } | Self::Assert { .. } | Self::Sink { .. } => ErrorClass::Run,
            Self::Columns { .. } => ErrorClass::Run,
            Self::Machine(_) | Self::File { .. } | Self::System { .. } => ErrorClass::Environment,
            Self::Changed(_) | Self::Lost(_) => ErrorClass::Environment,
            Self::Store(error) if error.is_internal() => ErrorClass::Internal,
            Self::Store(StoreError::Columns(_)) => ErrorClass::Run,
            Self::Store(_) => ErrorClass::Store,
            Self::Internal { .. } => ErrorClass::Internal,
            Self::Cancelled => ErrorClass::Stopped,
        }
    }

    /// The name of its kind, in `error` events.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Pipeline(_) => "flowc::pipeline",
            Self::Machine(_) => "flowc::machine",
            Self::Locked { .. } => "flowc::locked",
            Self::Isolation { .. } => "flowc::isolation",
            Self::Source { .. } => "flowc::source",
            Self::Stage { .. } => "flowc::stage",
            Self::Assert { .. } => "flowc::assert",
            Self::Secrets(_) => "flowc::secret",
            Self::Sink { .. } => "flowc::sink",
            Self::Store(_) => "flowc::store",
            Self::File { .. } => "flowc::file",
            Self::Columns { .. } => "flowc::columns",
            Self::Request(_) => "flowc::request",
            Self::System { .. } => "flowc::system",
            Self::Changed(_) | Self::Lost(_) => "flowc::changed",
            Self::Internal { .. } => "flowc::internal",
            Self::Cancelled => "flowc::stopped",
        }
    }
}

fn lines(missing: &[MissingSecret]) -> String {
    missing.iter().map(|one| format!("\n  {one}")).collect()
}

/// A secret that a stage needs and that has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSecret {
    /// The stage's name.
    pub stage: String,
    /// The secret.
    pub secret: String,
    /// Why it has none, and what to do.
    pub reason: String,
}

impl std::fmt::Display for MissingSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stage `{}` needs the secret {}: {}", self.stage, self.secret, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_kept() {
        let refused = || std::io::Error::other("refused");
        let errors = [
            Error::source("a", refused()),
            Error::sink("a", refused()),
            Error::system("start")(refused()),
            Error::internal("counting")(refused()),
            Error::File { path: "a".into(), cause: refused() },
        ];
        for error in errors {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            assert_eq!(cause.as_deref(), Some("refused"), "{error}");
        }
    }

    #[test]
    fn a_panic_is_a_fault_of_flowc_that_names_the_task_and_the_place() {
        let error =
            Error::catch(|| "running stage `a`".to_owned(), || -> Result<(), _> { panic!("no rows") }).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Internal);
        let text = error.to_string();
        assert!(
            text.starts_with("a bug in flowc, running stage `a`: no rows, at ") && text.contains("error/mod.rs:"),
            "{text}"
        );
    }
}
