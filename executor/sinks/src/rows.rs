//! Rows of tables: where they wait, and what tells them from others.

use std::collections::HashMap;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_row::{RowConverter, SortField};
use arrow_schema::{ArrowError, SchemaRef};

use crate::error::SinkError;
use crate::pending::{EncodedRows, PendingSegments};
use crate::spool::{Piece, Spool};

/// Where some rows lie, and how many they are.
pub(crate) type RowPiece = (Piece, usize);

/// Keeps the rows of one job until all are there.
pub(crate) struct RowKeeper<'t> {
    pending: &'t PendingSegments<RowPiece>,
    spool: &'t Spool,
    /// For messages.
    shown: &'t Path,
    job: usize,
    digest: RowDigest,
    encoded: EncodedRows<RowPiece>,
}

impl<'t> RowKeeper<'t> {
    /// For rows of these columns. `is_told`: whether rows are told from others one by one, beside their segments.
    pub(crate) fn new(
        pending: &'t PendingSegments<RowPiece>,
        spool: &'t Spool,
        shown: &'t Path,
        (job, schema, is_told): (usize, &SchemaRef, bool),
    ) -> Result<Self, SinkError> {
        let digest = RowDigest::new(schema, is_told).map_err(|error| SinkError::batch(shown, &error))?;
        Ok(Self { pending, spool, shown, job, digest, encoded: pending.begin() })
    }

    /// Number of rows so far.
    pub(crate) fn rows(&self) -> u64 {
        self.encoded.rows
    }

    /// Takes in rows, which `encode` makes bytes of.
    pub(crate) fn keep(
        &mut self,
        batch: &RecordBatch,
        encode: impl FnOnce(&RecordBatch) -> Result<Vec<u8>, SinkError>,
    ) -> Result<(), SinkError> {
        let digested = self.digest.update(batch, &mut self.encoded.prefixes);
        digested.map_err(|error| SinkError::batch(self.shown, &error))?;
        self.encoded.pieces.push((self.spool.put(&encode(batch)?)?, batch.num_rows()));
        self.encoded.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// All rows are there.
    pub(crate) fn finish(mut self) {
        self.encoded.digest = self.digest.finish(&mut self.encoded.prefixes);
        self.pending.take(self.job, self.encoded);
    }
}

/// Digests rows one by one.
struct RowDigest {
    converter: Option<RowConverter>,
    hasher: blake3::Hasher,
    rows: u64,
}

impl RowDigest {
    /// For rows of these columns. Where a column's type has no bytes for a value, all rows are told by their segments alone.
    fn new(schema: &SchemaRef, is_wanted: bool) -> Result<Self, ArrowError> {
        let fields: Vec<SortField> =
            schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let is_possible = is_wanted && RowConverter::supports_fields(&fields);
        let converter = is_possible.then(|| RowConverter::new(fields)).transpose()?;
        Ok(Self { converter, hasher: blake3::Hasher::new(), rows: 0 })
    }

    /// Takes in rows, and notes the digests of as many first rows as are asked for.
    fn update(&mut self, batch: &RecordBatch, prefixes: &mut HashMap<u64, [u8; 32]>) -> Result<(), ArrowError> {
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
    fn finish(&self, prefixes: &mut HashMap<u64, [u8; 32]>) -> [u8; 32] {
        if self.converter.is_some() {
            return *self.hasher.finalize().as_bytes();
        }
        prefixes.clear();
        [0; 32]
    }
}
