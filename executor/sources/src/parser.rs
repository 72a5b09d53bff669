//! What a text format's parser must do for [`Sift`](crate::sift::Sift).

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};

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

/// What is wrong with bytes that are no text, and what to do.
pub(crate) const NOT_UTF8: &str = "not UTF-8; `iconv -f latin1 -t utf-8` converts a file from Latin-1";

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadRecord {
    /// In which column, where it is in one.
    pub(crate) column: Option<String>,
    /// For people.
    pub(crate) reason: String,
}

/// The schema of some columns of a schema, in the order given.
pub(crate) fn project(schema: &SchemaRef, projection: &[usize]) -> SchemaRef {
    let fields: Vec<_> = projection.iter().map(|&column| schema.fields()[column].clone()).collect();
    Arc::new(Schema::new(fields))
}

/// The schema with each type replaced.
pub(crate) fn map_types(schema: &SchemaRef, map: impl Fn(&DataType) -> DataType) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_data_type(map(field.data_type())));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
