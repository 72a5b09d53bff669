//! The engine: finds out what is to run, runs it, and remembers the results.
//!
//! [`Session`] is the way in. A run goes through these rooms:
//!
//! 1. `record` sees at a glance that there is nothing to do;
//! 2. `plan` reads the texts and plans them; `runners` answer what stages are;
//! 3. `intake` finds the sources' files and the segments known of them, and reads those that changed;
//! 4. `flowc-demand` decides what runs, by keys alone; it asks `inputs` what the store has;
//! 5. `run` runs the tasks in parallel: `chain` runs the stages of one, fed by `inputs`;
//! 6. `outputs` writes the sinks, and `record` keeps what the next run needs to know;
//! 7. `inspect` tells what all that would do, without doing it.
//!
//! Each room's head says what it may use.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chain;
mod error;
mod event;
mod features;
mod inputs;
mod inspect;
mod intake;
mod options;
mod outputs;
mod plan;
mod record;
mod remembered;
mod run;
mod runners;
mod schedule;
mod select;
#[cfg(feature = "serve")]
mod serving;
mod session;
mod status;

/// Plays the part that this process was started for, if a stage in a process of its own needs it; does not return then. The
/// program that embeds this engine is started again for such parts, and calls this first thing.
pub fn play_part() {
    flowc_sandbox::main();
    #[cfg(feature = "databases")]
    flowc_adbc::main();
    #[cfg(feature = "processes")]
    flowc_wasm_process::main();
}

pub use chain::budget::default_budget;
pub use error::{Cause, Error, ErrorClass, ErrorReport, FailureSite, MissingSecret, RowsReport, WorkItem};
pub use event::{
    AssertReport, Event, IgnoredMember, Largest, Observer, Other, OutputReport, RunFailure, RunReport, StageReport,
    StageStatus, StageTasks, StampedEvent, Stamper, StreamReport, TimedBy,
};
pub use features::{FEATURES, Feature};
/// The engine that stages in containers need.
#[cfg(feature = "containers")]
pub use flowc_container as containers;
/// The adapters that kernels run on.
#[cfg(feature = "gpu")]
pub use flowc_gpu as gpu;
pub use flowc_platform::PrivateFile;
/// The modules of the Python SDK that serves stages, by their paths within the package.
#[cfg(feature = "python")]
pub use flowc_python::sdk_modules as python_sdk;
pub use flowc_sandbox as sandbox;
/// Results of pipelines, over Arrow Flight.
#[cfg(feature = "serve")]
pub use flowc_serve as serve;
pub use flowc_sinks::{SinkError, StdoutWriter};
#[cfg(feature = "workers")]
pub use flowc_worker::{Worker, WorkerError};
pub use inspect::admin;
pub use inspect::show::{Rows, table};
pub use inspect::windows::WindowStatus;
pub use options::{Cancel, Options, RunRequest};
pub use plan::Planned;
pub use record::history::{LogLine, Pin};
pub use record::run::PastRun;
pub use runners::precompile;
pub use session::{Session, run_if_up_to_date};
pub use status::{MadeOn, Reason, SinkOutlook, SinkStatus, SourceStatus, StageOutlook, StageRan, Status, Why};
