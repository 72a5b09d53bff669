//! Rows of tables: where they wait, and what tells them from others.

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
        let told = self.digest.update(batch).map_err(|error| SinkError::batch(self.shown, &error))?;
        if self.pending.are_rows_told() && !told.is_empty() {
            self.encoded.told.push(self.spool.put(told)?);
        }
        self.encoded.pieces.push((self.spool.put(&encode(batch)?)?, batch.num_rows()));
        self.encoded.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// All rows are there.
    pub(crate) fn finish(mut self) {
        self.encoded.digest = self.digest.finish();
        self.pending.take(self.job, self.encoded);
    }
}

/// How many bytes the first of several rows has.
pub(crate) fn first_row(rows: &[u8]) -> Option<usize> {
    let length = u64::from_le_bytes(*rows.first_chunk()?);
    let whole = usize::try_from(length).ok()?.checked_add(size_of::<u64>())?;
    (whole <= rows.len()).then_some(whole)
}

/// Digests rows one by one.
struct RowDigest {
    converter: Option<RowConverter>,
    hasher: blake3::Hasher,
    /// Those of a batch, each behind its length.
    rows: Vec<u8>,
}

impl RowDigest {
    /// For rows of these columns. Where a column's type has no bytes for a value, all rows are told by their segments alone.
    fn new(schema: &SchemaRef, is_wanted: bool) -> Result<Self, ArrowError> {
        let fields: Vec<SortField> =
            schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let is_possible = is_wanted && RowConverter::supports_fields(&fields);
        let converter = is_possible.then(|| RowConverter::new(fields)).transpose()?;
        Ok(Self { converter, hasher: blake3::Hasher::new(), rows: Vec::new() })
    }

    /// Takes in rows, and gives the bytes that tell them from others; none where there are none.
    fn update(&mut self, batch: &RecordBatch) -> Result<&[u8], ArrowError> {
        self.rows.clear();
        let Some(converter) = &self.converter else { return Ok(&self.rows) };
        for row in &converter.convert_columns(batch.columns())? {
            let bytes: &[u8] = row.as_ref();
            self.rows.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            self.rows.extend_from_slice(bytes);
        }
        self.hasher.update(&self.rows);
        Ok(&self.rows)
    }

    /// The digest of all rows; zeros where there is none, which no rows have.
    fn finish(&self) -> [u8; 32] {
        self.converter.as_ref().map_or([0; 32], |_| *self.hasher.finalize().as_bytes())
    }
}
