//! What is known of a segment of a source file before its rows are read.

use arrow_array::RecordBatch;
use bytes::Bytes;
use flowc_planner::key::RawDigest;
use serde::{Deserialize, Serialize};

/// A segment of a source file, as it lies there. The engine remembers it by the file's stamp.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawSegment {
    /// Where it starts, in bytes of the plain (decompressed) file.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// Its number in the file, from 0.
    pub ordinal: u32,
    /// Its rows, where the format tells them without reading: Parquet, Arrow, bytes.
    pub rows: Option<u64>,
    /// Digest of its bytes and of what else in the file shapes its rows (a CSV file's header).
    pub raw: RawDigest,
    /// Parquet: a digest per column of the source's schema, of the stored bytes of the column's chunk.
    pub columns: Option<Vec<RawDigest>>,
}

/// What of a segment is in memory when it is found, so that it is read once.
#[derive(Clone, Debug)]
pub enum AtHand {
    /// Its bytes.
    Bytes(Bytes),
    /// Its rows, with all columns of the file, and how many rows come before them.
    Rows(RecordBatch, u64),
}

impl AtHand {
    /// The bytes, if it is bytes.
    pub(crate) fn bytes(self) -> Option<Bytes> {
        match self {
            AtHand::Bytes(bytes) => Some(bytes),
            AtHand::Rows(..) => None,
        }
    }
}
