//! The engine: finds out what is to run, runs it, and remembers the results.
//!
//! [`Session`] is the way in. A run goes through these steps, each a module: [`project`] reads the texts; [`catalogue`]
//! answers the planner; `noop` sees at a glance that there is nothing to do; `inventory` turns source files into
//! segments with keys; `datasets` derives the keys of every stream; `demand` finds what is missing and makes tasks;
//! `schedule` runs them in parallel, each a `chain` of stage instances; `output` writes the sinks; `history` remembers.

mod error;
mod event;
mod status;

pub use error::{Error, RunFailure};
pub use event::{Event, Observer, OutputReport, RunReport, StageReport, StageStatus};
pub use status::{Reason, SinkOutlook, SinkStatus, SourceStatus, StageOutlook, Status};
