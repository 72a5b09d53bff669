//! The file of a block, opened, or while it is written.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;

use crate::arriving::Kept;
use crate::columnar::ipc::IpcFile;
use crate::error::SourceError;
use crate::files::view::View;
use crate::log::reading::Reading;
use crate::log::records::SCHEMA;
use crate::log::rows::{RecordRows, SegmentRecords};
use crate::reader::Rows;
use crate::segment::RawSegment;

/// A block that is kept.
pub(crate) struct BlockFile {
    records: IpcFile,
    reading: Arc<Reading>,
}

impl BlockFile {
    /// What a file holds that is kept of a block.
    pub(super) fn of_view(view: View, reading: Arc<Reading>) -> Result<Self, SourceError> {
        Ok(Self { records: records_of(view)?, reading })
    }

    /// The segments, by digests of what shapes their rows: neither the topic's name nor, unless a column holds them, offsets.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Result<RawSegment, SourceError>> + Send + '_ {
        let all: Vec<usize> = (0..SCHEMA.fields().len()).collect();
        self.records.places().zip(0..).map(move |(place, ordinal)| {
            let mut rows = self.records.read_segment(ordinal as usize, &all)?;
            let batches = std::iter::from_fn(|| rows.batch().transpose()).collect::<Result<Vec<_>, _>>()?;
            self.reading.segment(place?, ordinal, &batches)
        })
    }

    /// The rows of a segment.
    pub(crate) fn read(&self, segment: &RawSegment, projection: &[usize]) -> Result<RecordRows, SourceError> {
        let all: Vec<usize> = (0..SCHEMA.fields().len()).collect();
        let records = SegmentRecords::Kept(self.records.read(segment, &all)?);
        RecordRows::new(records, self.reading.clone(), projection)
    }
}

/// The records of a block, whatever is made of them.
pub(super) fn records_of(view: View) -> Result<IpcFile, SourceError> {
    IpcFile::of_batches(view, SCHEMA.clone())
}

/// A block on its way into a file.
pub(super) struct ArrivingBlock {
    /// The part's name.
    pub(super) name: String,
    pub(super) reading: Arc<Reading>,
    /// The file.
    pub(super) place: PathBuf,
}

impl Kept for ArrivingBlock {
    fn unknown(&self) -> Vec<String> {
        Vec::new()
    }

    fn at_hand(&self, batch: RecordBatch, _before: u64, projection: &[usize]) -> Result<Rows, SourceError> {
        let records = SegmentRecords::AtHand(Some(batch));
        Ok(Rows::Records(Box::new(RecordRows::new(records, self.reading.clone(), projection)?)))
    }

    fn kept(&self, segment: &RawSegment, projection: &[usize]) -> Result<Rows, SourceError> {
        let view = View::of_sealed(&self.place, &self.name)?;
        let block = BlockFile::of_view(view, self.reading.clone())?;
        Ok(Rows::Records(Box::new(block.read(segment, projection)?)))
    }
}
