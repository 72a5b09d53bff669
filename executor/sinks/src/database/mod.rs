//! Tables of databases as sinks: made, replaced, appended to, or written over by a key.
//!
//! ```text
//! batches -> encoded rows (transaction.rs) -> a file until the run commits (spool.rs) -> one transaction (writing.rs): rows, and what the sink has
//! ```
//!
//! The database says itself what it has of a sink: `flowc_sinks` ([`record`]) is changed in the transaction that changes the rows, so either
//! both are there or neither, whatever becomes of flowc or of its store.

mod conversions;
mod fits;
mod idle;
mod place;
mod record;
mod sink;
mod statements;
mod transaction;
mod types;
mod writing;

pub(crate) use fits::check;
pub(crate) use sink::TableSink;
