//! What a text format's parser must do for [`Sift`](crate::sift::Sift).

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef};

use crate::BATCH_ROWS;

/// Turns records into batches.
pub(crate) trait Parser: Send {
    /// Parses at most [`BATCH_ROWS`] records from the start of `bytes`, which begins and ends with whole records. Gives
    /// their batch and how many bytes they take, or fails if one of them does not fit.
    fn parse(&mut self, bytes: &[u8]) -> Result<(RecordBatch, usize), ArrowError>;

    /// Why this one record does not fit.
    fn explain(&mut self, record: &[u8], error: &ArrowError) -> BadRecord;
}

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

/// What a decoder of text reads in place of a type: zones are known by their exact name, long texts not at all.
pub(crate) fn stand_in(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(zone)) if zone.eq_ignore_ascii_case("utc") => {
            DataType::Timestamp(*unit, Some("+00:00".into()))
        }
        DataType::LargeUtf8 => DataType::Utf8,
        other => other.clone(),
    }
}

/// Casts a parser's columns to the types that its stand in for; a value that does not fit is an error.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let cast = |(column, field): (&ArrayRef, &FieldRef)| match column.data_type() == field.data_type() {
        true => Ok(column.clone()),
        false => cast_with_options(column, field.data_type(), &CastOptions { safe: false, ..Default::default() }),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(cast).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

/// A batch size for decoders that notice one record too many.
pub(crate) const ONE_TOO_MANY: usize = BATCH_ROWS + 2;
