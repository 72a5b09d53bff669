//! Topics of Apache Kafka as sources: a part is a block, an aligned range of offsets of one partition.
//!
//! ```text
//! KafkaSource -> parts (ranges.rs) -> a file per block (block.rs) -> segments (file.rs) -> rows, rejects (rows.rs)
//! ```
//!
//! A block is read from the cluster once, and kept in the store: a topic forgets.

mod access;
mod block;
mod changes;
mod columns;
mod decode;
mod decoder;
mod file;
mod ranges;
mod reading;
mod records;
mod rows;
mod source;
#[cfg(test)]
mod testing;

pub(crate) use columns::{is_pinned_for, stated};
pub(crate) use file::BlockFile;
pub(crate) use rows::RecordRows;
pub(crate) use source::KafkaSource;
