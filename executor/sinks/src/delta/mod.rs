//! Delta tables: a sink adds versions to one.
//!
//! ```text
//! rows -> spool (transaction.rs) -> what is new (Matching) -> data files in the table's folder (files.rs) -> note (record.rs) -> commit
//! ```
//!
//! What a sink has written is noted in the table's folder before the commit, in a note with a number; the commit's `txn` action says which
//! number counts. So rows and the knowledge of them appear in one step, whoever runs next, and with whatever store.

mod files;
mod place;
mod record;
mod sink;
mod transaction;

pub(crate) use files::check;
pub(crate) use sink::DeltaTableSink;
