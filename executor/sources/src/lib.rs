//! Sources: files to segments of batches.
//!
//! [`list`] finds a source's files, [`infer_schema`] its columns. [`OpenFile`] cuts a file into [`RawSegment`]s, known by
//! digests of their stored bytes, and reads the rows of one as a [`SegmentReader`]:
//!
//! ```text
//! patterns -> Listing -> OpenFile -> RawSegment -> SegmentReader -> batches, rejects
//! ```
//!
//! Parquet has a segment per row group, Arrow IPC one per 8 MiB of batches, `bytes` one per file. Text is cut where its
//! content says, so that an insertion moves the cuts next to it alone.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod basis;
mod columnar;
mod convert;
mod csv;
mod csv_types;
mod cut;
mod dialect;
mod digest;
mod doubts;
mod error;
mod file;
mod framing;
mod ignored;
mod infer;
mod ipc;
mod json;
mod lines;
mod list;
mod parquet;
mod parser;
mod partitions;
mod promise;
mod quoted;
mod reader;
mod schema;
mod segment;
mod sift;
mod spool;
#[cfg(test)]
mod testing;
mod text;
mod times;
mod values;
mod view;
mod whole;

pub use basis::{Basis, basis};
pub use digest::{reader_version, spec_digest};
pub use doubts::doubt;
pub use error::SourceError;
pub use file::OpenFile;
pub use ignored::Ignored;
pub use list::{Listing, SourceFile, list};
pub use reader::SegmentReader;
pub use schema::{fixed_schema, infer_schema};
pub use segment::RawSegment;

use flowc_columns::BATCH_ROWS;
