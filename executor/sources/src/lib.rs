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

mod columnar;
mod digest;
mod error;
mod fields;
mod files;
mod ignored;
mod infer;
mod reader;
mod segment;
#[cfg(test)]
mod testing;
mod text;
mod values;
mod whole;

pub use digest::{reader_version, spec_digest};
pub use error::SourceError;
pub use files::list::{Listing, SourceFile, list};
pub use files::open::OpenFile;
pub use ignored::Ignored;
pub use infer::basis::{Basis, basis};
pub use infer::doubts::doubt;
pub use infer::schema::{fixed_schema, infer_schema};
pub use reader::SegmentReader;
pub use segment::RawSegment;

use flowc_columns::BATCH_ROWS;
