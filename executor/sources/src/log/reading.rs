//! How the records of a partition become rows.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_columns::{ColumnDigest, ColumnsError, canonical};
use flowc_planner::key::{KeyHasher, RawDigest};
use flowc_planner::plan::{BadRows, Format, KafkaTopic, RecordField, SourceSpec};
use flowc_records::SchemaById;

use crate::BATCH_ROWS;
use crate::error::SourceError;
use crate::fields::project;
use crate::log::records::SCHEMA;
use crate::segment::RawSegment;

/// The schemas in which records were written.
#[derive(Clone)]
pub(super) struct SharedSchemas(Arc<dyn SchemaById>);

impl SharedSchemas {
    pub(super) fn new(schemas: impl SchemaById + 'static) -> Self {
        Self(Arc::new(schemas))
    }

    pub(super) fn into_inner(self) -> Arc<dyn SchemaById> {
        self.0
    }
}

impl fmt::Debug for SharedSchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSchemas")
    }
}

/// How records become rows.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) format: Format,
    /// Where records name the schemas in which they were written.
    pub(super) schemas: Option<SharedSchemas>,
    pub(super) bad_rows: BadRows,
    /// All columns of the source.
    pub(super) schema: SchemaRef,
    /// The columns of the stream of bad records.
    pub(super) rejects: SchemaRef,
    /// Per column of the source, the part of the record that it holds; none for columns of the value.
    pub(super) fields: Vec<Option<RecordField>>,
}

impl Reading {
    /// How records of a partition become rows of these columns, which begin with those of the value.
    pub(super) fn new(
        spec: &SourceSpec,
        topic: &KafkaTopic,
        partition: i32,
        schema: &SchemaRef,
        schemas: Option<SharedSchemas>,
    ) -> Self {
        let of_values = schema.fields().len() - topic.columns.len();
        let parts = topic.columns.iter().map(|column| Some(column.field));
        Self {
            topic: topic.topic.clone(),
            partition,
            format: spec.format.clone(),
            schemas,
            bad_rows: spec.bad_rows,
            schema: schema.clone(),
            rejects: spec.rejects_schema(),
            fields: std::iter::repeat_n(None, of_values).chain(parts).collect(),
        }
    }

    /// The columns that values hold.
    pub(super) fn of_values(&self) -> SchemaRef {
        let columns: Vec<usize> = (0..self.fields.len()).filter(|&column| self.fields[column].is_none()).collect();
        project(&self.schema, &columns)
    }

    /// A segment of a block, by a digest of what of its records shapes rows.
    pub(super) fn segment<'b>(
        &self,
        place: Range<u64>,
        ordinal: u32,
        batches: impl IntoIterator<Item = &'b RecordBatch>,
    ) -> Result<RawSegment, SourceError> {
        let refused = |reason: String| SourceError::Arrow { file: self.topic.clone(), reason };
        let mut hasher = KeyHasher::new("flowc raw records 1");
        if self.has(RecordField::Partition) {
            hasher.number(u64::from(self.partition.unsigned_abs()));
        }
        let columns = self.shaping();
        for batch in batches {
            let shaping = batch.project(&columns).map_err(|error| refused(error.to_string()))?;
            digest(&shaping, &mut hasher).map_err(|error| refused(error.to_string()))?;
        }
        let (offset, length) = (place.start, place.end - place.start);
        Ok(RawSegment { offset, length, ordinal, rows: None, raw: RawDigest::new(hasher.finish()), columns: None })
    }

    /// Which columns of a block shape rows, or the stream of bad ones.
    fn shaping(&self) -> Vec<usize> {
        let is_read = |column: &usize| match SCHEMA.field(*column).name().as_str() {
            "value" => true,
            "offset" => self.has(RecordField::Offset),
            "timestamp" => self.has(RecordField::Timestamp),
            "key" => self.has(RecordField::Key) || self.has(RecordField::KeyText),
            _ => self.has(RecordField::Headers),
        };
        (0..SCHEMA.fields().len()).filter(|column| self.bad_rows == BadRows::Stream || is_read(column)).collect()
    }

    /// Whether a column holds this part.
    pub(super) fn has(&self, field: RecordField) -> bool {
        self.fields.contains(&Some(field))
    }
}

fn digest(batch: &RecordBatch, hasher: &mut KeyHasher) -> Result<(), ColumnsError> {
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let mut digest = ColumnDigest::new(field);
        for start in (0..column.len()).step_by(BATCH_ROWS) {
            digest.update(&canonical(&column.slice(start, BATCH_ROWS.min(column.len() - start)))?);
        }
        hasher.digest(digest.finish().as_bytes());
    }
    Ok(())
}
