//! Rows of tables: where they wait, and what tells them from others.

use std::collections::HashMap;

use arrow_array::RecordBatch;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, SchemaRef};

use crate::spool::Piece;

/// Where some rows lie, and how many they are.
pub(crate) type RowPiece = (Piece, usize);

/// Digests rows one by one.
pub(crate) struct RowDigest {
    converter: Option<RowConverter>,
    hasher: blake3::Hasher,
    rows: u64,
}

impl RowDigest {
    /// For rows of these columns. Where a column's type has no bytes for a value, all rows are told by their segments alone.
    pub(crate) fn new(schema: &SchemaRef, is_wanted: bool) -> Result<Self, ArrowError> {
        let fields: Vec<SortField> =
            schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let is_possible = is_wanted && RowConverter::supports_fields(&fields);
        let converter = is_possible.then(|| RowConverter::new(fields)).transpose()?;
        Ok(Self { converter, hasher: blake3::Hasher::new(), rows: 0 })
    }

    /// Takes in rows, and notes the digests of as many first rows as are asked for.
    pub(crate) fn update(
        &mut self,
        batch: &RecordBatch,
        prefixes: &mut HashMap<u64, [u8; 32]>,
    ) -> Result<(), ArrowError> {
        let Some(converter) = &self.converter else { return Ok(()) };
        for row in &converter.convert_columns(batch.columns())? {
            let bytes: &[u8] = row.as_ref();
            self.hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
            self.rows += 1;
            if let Some(prefix) = prefixes.get_mut(&self.rows) {
                *prefix = *self.hasher.finalize().as_bytes();
            }
        }
        Ok(())
    }

    /// The digest of all rows; zeros where there is none, and then the first rows are like no others.
    pub(crate) fn finish(&self, prefixes: &mut HashMap<u64, [u8; 32]>) -> [u8; 32] {
        if self.converter.is_some() {
            return *self.hasher.finalize().as_bytes();
        }
        prefixes.clear();
        [0; 32]
    }
}
