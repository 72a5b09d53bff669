//! The parser of a text format: records to batches, and why a record does not fit.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;

use crate::ignored::Ignored;

/// Turns records into batches.
pub(crate) trait Parser: Send {
    /// Parses at most [`BATCH_ROWS`](crate::BATCH_ROWS) records from the start of `bytes`, which begins and ends with
    /// whole records. Gives their batch and how many bytes they take, or fails if one of them does not fit.
    fn parse(&mut self, bytes: &[u8]) -> Result<(RecordBatch, usize), ArrowError>;

    /// Why this one record does not fit.
    fn explain(&mut self, record: &[u8], error: &ArrowError) -> BadRecord;

    /// What the batches that were parsed so far leave out of their records.
    fn take_ignored(&mut self) -> Ignored {
        Ignored::default()
    }
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadRecord {
    /// In which column, where it is in one.
    pub(crate) column: Option<String>,
    /// For people.
    pub(crate) reason: String,
}
