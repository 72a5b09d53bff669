//! Topics of Apache Kafka as sinks: rows become records, which are appended in one transaction.
//!
//! ```text
//! batches -> records (encode.rs) -> a file until the run commits (spool.rs) -> the topic (transaction.rs)
//! ```
//!
//! What was written before is told by the sink's record in the anchor topic (`anchor.rs`), which is part of the same transaction;
//! `matching.rs` decides what of a dataset is new.

mod anchor;
mod bytes;
mod encode;
mod parts;
mod record;
mod registered;
mod sink;
mod state;
mod transaction;
mod values;

pub(crate) use parts::check;
pub(crate) use sink::TopicSink;
