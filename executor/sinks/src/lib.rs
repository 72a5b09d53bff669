//! Sinks: batches to files, whole or not at all.
//!
//! The way of a sink, each step a call: [`check`] says at plan time whether the format can hold the columns;
//! [`is_intact`] says by stat alone whether what was written is still there; [`remove_leftovers`], once a run, removes
//! what killed runs left; [`Preparation::new`] lists the files that must be written; [`Preparation::writer`] writes each
//! of them beside the target, where nobody looks; [`Preparation::sync`], once for many sinks, makes them durable;
//! [`Preparation::commit`] makes all of them appear in one step and gives the [`SinkState`] to remember. Standard
//! output is written by [`StdoutWriter`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod check;
mod coerce;
mod commit;
mod compress;
mod csv;
mod encode;
mod error;
mod manifest;
mod misfit;
mod names;
mod partition;
mod plain;
mod prepare;
mod staging;
mod state;
mod stdout;
mod swap;
mod table;
mod writer;

pub use check::check;
pub use encode::writer_version;
pub use error::SinkError;
pub use manifest::MANIFEST;
pub use prepare::{FileJob, Preparation};
pub use staging::{Stagings, remove_leftovers};
pub use state::{Intact, SinkSegment, SinkState, WrittenFile, is_intact, result_digest};
pub use stdout::{StdoutWriter, write_stdout};
pub use table::table;
pub use writer::{FileWriter, Finished};
