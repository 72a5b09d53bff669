//! The file of a block, opened.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_columns::{ColumnDigest, ColumnsError, canonical};
use flowc_planner::key::{KeyHasher, RawDigest};
use flowc_planner::plan::{BadRows, Format, KafkaTopic, RecordField, SourceSpec};
use flowc_platform::{content_length, is_sealed};

use crate::BATCH_ROWS;
use crate::columnar::ipc::IpcFile;
use crate::error::SourceError;
use crate::fields::project;
use crate::files::view::View;
use crate::log::block::SCHEMA;
use crate::log::rows::RecordRows;
use crate::segment::RawSegment;

/// A block that is at hand.
pub(crate) struct BlockFile {
    records: IpcFile,
    reading: Arc<Reading>,
}

/// How records become rows.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) format: Format,
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
    pub(super) fn new(spec: &SourceSpec, topic: &KafkaTopic, partition: i32, schema: &SchemaRef) -> Self {
        let of_values = schema.fields().len() - topic.columns.len();
        let parts = topic.columns.iter().map(|column| Some(column.field));
        Self {
            topic: topic.topic.clone(),
            partition,
            format: spec.format.clone(),
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

    fn has(&self, field: RecordField) -> bool {
        self.fields.contains(&Some(field))
    }
}

impl BlockFile {
    /// Opens the file that is kept of a block. One that is damaged is an error of kind `InvalidData`.
    pub(super) fn open(path: &Path, name: &str, reading: Reading) -> Result<(Self, View), SourceError> {
        let (records, view) = open_records(path, name)?;
        Ok((Self { records, reading: Arc::new(reading) }, view))
    }

    /// The segments, by digests of what shapes their rows: neither the topic's name nor, unless a column holds them, offsets.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Result<RawSegment, SourceError>> + Send + '_ {
        let columns = self.reading.shaping();
        self.records.places().zip(0..).map(move |(place, ordinal)| self.segment(&place?, ordinal, &columns))
    }

    fn segment(&self, place: &Range<u64>, ordinal: u32, columns: &[usize]) -> Result<RawSegment, SourceError> {
        let mut rows = self.records.read_segment(ordinal as usize, columns)?;
        let mut hasher = KeyHasher::new("flowc raw records 1");
        if self.reading.has(RecordField::Partition) {
            hasher.number(u64::from(self.reading.partition.unsigned_abs()));
        }
        while let Some(batch) = rows.batch()? {
            digest(&batch, &mut hasher)
                .map_err(|error| SourceError::Arrow { file: self.reading.topic.clone(), reason: error.to_string() })?;
        }
        let (offset, length) = (place.start, place.end - place.start);
        Ok(RawSegment { offset, length, ordinal, rows: None, raw: RawDigest::new(hasher.finish()), columns: None })
    }

    /// The rows of a segment.
    pub(crate) fn read(&self, segment: &RawSegment, projection: &[usize]) -> Result<RecordRows, SourceError> {
        let all: Vec<usize> = (0..SCHEMA.fields().len()).collect();
        Ok(RecordRows::new(self.records.read(segment, &all)?, self.reading.clone(), projection))
    }
}

/// The records of a block, whatever is made of them.
pub(super) fn open_records(path: &Path, name: &str) -> Result<(IpcFile, View), SourceError> {
    let io = |action| SourceError::io(name, action);
    if !is_sealed(path) {
        return Err(io("trust what is kept of it")(io::ErrorKind::InvalidData.into()));
    }
    let file = File::open(path).map_err(io("open it"))?;
    let length = file.metadata().map_err(io("stat it"))?.len();
    let view = View::of_start(Arc::new(file), name, content_length(length).unwrap_or(0));
    Ok((IpcFile::of_batches(view.clone(), SCHEMA.clone())?, view))
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
