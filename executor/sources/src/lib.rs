//! Sources: bytes from outside of flowc to segments of batches.
//!
//! [`Source`] is what every source does; [`source`] makes the source of a specification. [`OpenFile`] cuts the bytes of a
//! part into [`RawSegment`]s, known by digests of their stored bytes, and reads the rows of one as a [`SegmentReader`]:
//!
//! ```text
//! Source -> SourcePart -> OpenFile -> RawSegment -> SegmentReader -> batches, rejects
//! ```
//!
//! Parquet has a segment per row group, Arrow IPC one per 8 MiB of batches, Avro one per 8 MiB of blocks, `bytes` one per file. Text is cut where its
//! content says, so that an insertion moves the cuts next to it alone.

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(any(feature = "databases", feature = "kafka"))]
mod arriving;
mod columnar;
#[cfg(feature = "databases")]
mod database;
#[cfg(feature = "delta")]
mod delta;
mod digest;
mod error;
mod fields;
mod files;
#[cfg(feature = "flights")]
mod flights;
mod ignored;
mod infer;
#[cfg(feature = "kafka")]
mod log;
#[cfg(feature = "objects")]
mod objects;
mod proto;
mod reader;
mod segment;
mod source;
mod sources;
mod stdin;
#[cfg(test)]
mod testing;
mod text;
#[cfg(any(feature = "databases", feature = "flights"))]
mod turn;
#[cfg(not(all(
    feature = "avro",
    feature = "databases",
    feature = "delta",
    feature = "flights",
    feature = "kafka",
    feature = "objects"
)))]
mod unbuilt;
mod values;
mod whole;

pub use digest::{reader_version, spec_digest};
pub use error::SourceError;
pub use files::list::SourceFile;
pub use files::open::OpenFile;
pub use ignored::Ignored;
pub use infer::basis::Basis;
pub use infer::schema::infer_schema;
pub use proto::compiled_proto;
pub use reader::SegmentReader;
pub use segment::{AtHand, RawSegment};
pub use source::{Folders, Polled, Source, SourcePart, partition_of_block};
pub use sources::{is_pinned_for, missing_for, missing_for_format, source, stated_columns};

use flowc_columns::BATCH_ROWS;
