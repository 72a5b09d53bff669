//! Canonical columns: fixed-row batches, compacted, digested independently of layout.
//!
//! The way of a column: batches of any size -> [`Rechunk`] makes chunks of [`BATCH_ROWS`] of them -> [`canonical`] gives each chunk
//! the one physical form that its logical content has -> [`chunk_digest`] hashes that form -> [`ColumnDigest`] hashes the digests of the
//! chunks. It is thus a tree of depth two, so that a reader can check one chunk without reading the others.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod canonical;
mod digest;
mod offsets;
mod rechunk;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod unify;

use arrow_schema::ArrowError;

pub use canonical::canonical;
pub use digest::{ChunkDigest, ColumnDigest, chunk_digest};
pub use rechunk::Rechunk;
pub use unify::Unifier;

/// Rows of a chunk. The last chunk of a segment may be shorter, and is never empty.
pub const BATCH_ROWS: usize = 8192;

/// Version of the canonical form, part of every content digest.
pub const CANONICAL_VERSION: u32 = 1;

/// What can go wrong with columns.
#[derive(Debug, thiserror::Error)]
pub enum ColumnsError {
    /// Arrow could not do it: values that don't fit their type's offsets, batches of different types.
    #[error("columns can't be put together: {0}")]
    Arrow(#[from] ArrowError),
    /// The rows of a chunk hold more than offsets of 32 bits reach.
    #[error(
        "{rows} rows of column `{column}` hold more than {data_type} can, which is 2 GiB of text or 2^31 items: have it as a \
         type with longer offsets (LargeUtf8, LargeBinary, LargeList), or hold less in a row"
    )]
    TooFull {
        /// The column's name.
        column: String,
        /// How many rows.
        rows: usize,
        /// The type whose offsets do not reach, of the column or of a part of it.
        data_type: arrow_schema::DataType,
    },
    /// A segment has more different values than its dictionary's keys can number.
    #[error("{values} different values need wider dictionary keys than {key}: use a wider key type, or no dictionary")]
    DictionaryFull {
        /// Number of values so far.
        values: usize,
        /// The type of the keys.
        key: arrow_schema::DataType,
    },
}

impl ColumnsError {
    /// Whether values do not fit their type: a fault of the data, and not of who handles it.
    pub fn is_of_data(&self) -> bool {
        match self {
            Self::TooFull { .. } | Self::DictionaryFull { .. } => true,
            Self::Arrow(_) => false,
        }
    }
}
