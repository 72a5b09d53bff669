//! Sinks: datasets to places outside of flowc, whole or not at all.
//!
//! [`Sink`] and [`Transaction`] are what every sink does; [`Sinks`] makes the sink of a specification. Files and folders
//! (`files/`) are written where nobody looks, and appear in one step; so do objects (`objects/`), as far as their stores
//! allow, and records of topics (`log/`)
//! and rows of tables (`database/`, `delta/`); standard output (`stdout.rs`) is seen at once.
//! [`check`] says at plan time whether a format can hold the columns of a stream.

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "databases")]
mod database;
#[cfg(feature = "delta")]
mod delta;
mod error;
mod files;
mod formats;
#[cfg(feature = "kafka")]
mod log;
#[cfg(any(feature = "databases", feature = "delta", feature = "kafka"))]
mod matching;
#[cfg(feature = "objects")]
mod objects;
#[cfg(any(feature = "databases", feature = "delta", feature = "kafka"))]
mod pending;
#[cfg(any(feature = "databases", feature = "delta"))]
mod rows;
mod sink;
mod sinks;
#[cfg(any(feature = "databases", feature = "delta", feature = "kafka"))]
mod spool;
mod state;
mod stdout;
mod syncs;
#[cfg(any(feature = "databases", feature = "delta", feature = "kafka"))]
mod told;
#[cfg(not(all(feature = "databases", feature = "delta", feature = "kafka", feature = "objects")))]
mod unbuilt;

pub use error::SinkError;
pub use files::manifest::MANIFEST;
pub use formats::check::check;
pub use formats::table::table;
pub use sink::{Claim, Dataset, Finalized, Job, Remembered, RowWriter, Sink, Transaction, WatchedFile, Written};
pub use sinks::{Sinks, missing_for};
pub use state::{Intact, SinkSegment, SinkState, WrittenFile, result_digest};
pub use stdout::{StdoutWriter, write_stdout};
pub use syncs::Syncs;
