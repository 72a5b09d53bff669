//! The engine: finds out what is to run, runs it, and remembers the results.
//!
//! [`Session`] is the way in. A run goes through these steps, each a module:
//!
//! 1. `noop` sees at a glance that there is nothing to do;
//! 2. `project` reads the texts, `planning` plans them, `catalogue` and `components` answer the planner,
//!    `compilations` tells of what takes long there;
//! 3. `inventory` finds the sources' files and the segments known of them, `scan` reads those that changed, and `fresh`
//!    runs ahead over what is in memory meanwhile;
//! 4. `keys` derives the keys of every stream, `lineage` finds what their rows and columns are, `homes` says where each column can be had from (`known` is
//!    the store as the run sees it);
//! 5. `reach` says what a request is about, `demand` finds what is missing for it and makes a `task` of it;
//! 6. `schedule` runs the tasks in parallel, as far as `budget` has memory for them: `execute` looks for an equal earlier result (`cutoff`), else `chain` runs
//!    the stages (`invocation` says what they are opened with, `pass` stands in for those that need not be called), fed by
//!    `read`, `whole` and `groups`; `place` says where one failed, and `secrets` keeps values out of that;
//! 7. `output` writes the sinks, which `delivery` commits, `underway` makes the report of what has been done, `history` remembers the run; `outlook`
//!    tells beforehand what all that would do.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod admin;
mod budget;
mod catalogue;
mod chain;
mod clash;
mod code;
mod compilations;
mod components;
mod cutoff;
mod delivery;
mod demand;
mod error;
mod error_report;
mod event;
mod execute;
mod failing;
mod files;
mod fresh;
mod freshness;
mod groups;
mod history;
mod homes;
mod inventory;
mod invocation;
mod keys;
mod known;
mod left;
mod lineage;
mod noop;
mod notices;
mod options;
mod outlook;
mod output;
mod pass;
mod place;
mod planning;
mod project;
mod reach;
mod read;
mod reasons;
mod remember;
mod remembered;
mod rows;
mod run;
mod runners;
mod scan;
mod schedule;
mod secrets;
mod session;
mod status;
mod stretch;
mod task;
mod underway;
mod whole;

/// Plays the part that this process was started for, if a stage in a process of its own needs it; does not return then. The
/// program that embeds this engine is started again for such parts, and calls this first thing.
pub fn play_part() {
    flowc_sandbox::main();
    flowc_wasm_process::main();
}

pub use budget::default_budget;
pub use error::{Cause, Error, ErrorClass, RunFailure};
pub use error_report::{ErrorReport, RowsReport};
pub use event::{Event, IgnoredMember, Observer, OutputReport, RunReport, StageReport, StageStatus, StreamReport};
/// The engine that stages in containers need.
pub use flowc_container as containers;
/// The modules of the Python SDK that serves stages, by their paths within the package.
pub use flowc_python::sdk_modules as python_sdk;
pub use flowc_sandbox as sandbox;
pub use flowc_sinks::{SinkError, StdoutWriter};
pub use flowc_worker::{Worker, WorkerError};
pub use history::{LogLine, PastRun, Pin};
pub use options::{Cancel, Options, RunRequest};
pub use place::{Part, Place};
pub use planning::Planned;
pub use rows::{Rows, table};
pub use secrets::MissingSecret;
pub use session::Session;
pub use status::{Reason, SinkOutlook, SinkStatus, SourceStatus, StageOutlook, StageRan, Status, Why};
