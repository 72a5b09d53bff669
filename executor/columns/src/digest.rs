//! Hashes of canonical columns.

use arrow_array::{Array, ArrayRef};
use arrow_data::ArrayData;
use arrow_schema::Field;
use flowc_planner::key::{ContentDigest, KeyHasher};

use crate::CANONICAL_VERSION;

/// BLAKE3 of one canonical chunk of one column.
pub type ChunkDigest = [u8; 32];

/// Digest of one column of one segment: its type and the digests of its chunks, in order.
///
/// The column's logical type is hashed, not its name, metadata or nullability. (Names and nullability of fields within
/// a nested type are part of the type.)
pub struct ColumnDigest {
    hasher: KeyHasher,
    chunks: u64,
    rows: u64,
}

impl ColumnDigest {
    /// Starts the digest of a column of this field's type.
    pub fn new(field: &Field) -> Self {
        let mut hasher = KeyHasher::new("flowc content");
        hasher.number(CANONICAL_VERSION.into()).field(&Field::new("", field.data_type().clone(), true));
        Self { hasher, chunks: 0, rows: 0 }
    }

    /// Adds the next chunk, which is in canonical form; gives its digest.
    pub fn update(&mut self, chunk: &ArrayRef) -> ChunkDigest {
        let digest = chunk_digest(chunk);
        self.update_digest(&digest, chunk.len() as u64);
        digest
    }

    /// Adds the next chunk by its digest and number of rows.
    pub fn update_digest(&mut self, chunk: &ChunkDigest, rows: u64) {
        self.hasher.digest(chunk);
        self.chunks += 1;
        self.rows += rows;
    }

    /// The digest of all chunks.
    pub fn finish(mut self) -> ContentDigest {
        ContentDigest::new(self.hasher.number(self.chunks).number(self.rows).finish())
    }
}

/// Hashes a canonical chunk: all buffers in the order of the type tree, then their lengths.
///
/// The lengths come last so that big buffers start where BLAKE3 is fastest; the number of lengths ends the input, so no
/// two structures give the same bytes.
pub fn chunk_digest(chunk: &ArrayRef) -> ChunkDigest {
    let mut hasher = blake3::Hasher::new();
    let mut lengths = Vec::with_capacity(32);
    add(&chunk.to_data(), &mut hasher, &mut lengths);
    let count = (lengths.len() as u64).to_le_bytes();
    hasher.update(&lengths).update(&count);
    *hasher.finalize().as_bytes()
}

fn add(data: &ArrayData, hasher: &mut blake3::Hasher, lengths: &mut Vec<u8>) {
    let mut number = |n: usize| lengths.extend_from_slice(&(n as u64).to_le_bytes());
    number(data.len());
    number(data.buffers().len());
    number(data.nulls().map_or(0, |nulls| nulls.validity().len()));
    for buffer in data.buffers() {
        number(buffer.len());
    }
    for buffer in data.buffers() {
        hasher.update(buffer);
    }
    if let Some(nulls) = data.nulls() {
        hasher.update(nulls.validity());
    }
    for child in data.child_data() {
        add(child, hasher, lengths);
    }
}
