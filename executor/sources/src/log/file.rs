//! The file of a block, opened.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use flowc_columns::{ColumnDigest, ColumnsError, canonical};
use flowc_planner::key::{KeyHasher, RawDigest};
use flowc_planner::plan::RecordField;

use crate::BATCH_ROWS;
use crate::columnar::ipc::IpcFile;
use crate::error::SourceError;
use crate::files::view::View;
use crate::log::block::SCHEMA;
use crate::log::reading::Reading;
use crate::log::rows::RecordRows;
use crate::segment::RawSegment;

/// A block that is at hand.
pub(crate) struct BlockFile {
    records: IpcFile,
    reading: Arc<Reading>,
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
        RecordRows::new(self.records.read(segment, &all)?, self.reading.clone(), projection)
    }
}

/// The records of a block, whatever is made of them.
pub(super) fn open_records(path: &Path, name: &str) -> Result<(IpcFile, View), SourceError> {
    let view = View::of_sealed(path, name)?;
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
