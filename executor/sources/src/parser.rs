//! What a text format's parser must do for [`Sift`](crate::sift::Sift).

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DECIMAL256_MAX_PRECISION, DECIMAL256_MAX_SCALE, DataType, FieldRef, Schema, SchemaRef};

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

/// What a decoder of text reads in place of a type: zones are known by their exact name, long texts not at all, and
/// digits that a decimal has no room for are cut, so that it is given room.
pub(crate) fn stand_in(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(zone)) if zone.eq_ignore_ascii_case("utc") => {
            DataType::Timestamp(*unit, Some("+00:00".into()))
        }
        DataType::LargeUtf8 => DataType::Utf8,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => roomy(*precision, *scale),
        other => other.clone(),
    }
}

/// A decimal with as many digits before the point, and behind it all that there are.
fn roomy(precision: u8, scale: i8) -> DataType {
    let before = i16::from(precision) - i16::from(scale);
    let behind =
        (i16::from(DECIMAL256_MAX_PRECISION) - before).clamp(i16::from(scale), i16::from(DECIMAL256_MAX_SCALE));
    DataType::Decimal256(DECIMAL256_MAX_PRECISION, behind as i8)
}

/// Casts a parser's columns to the types that its stand in for; a value that does not fit is an error.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let cast = |(column, field): (&ArrayRef, &FieldRef)| match column.data_type() == field.data_type() {
        true => Ok(column.clone()),
        false => exactly(column, field.data_type()),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(cast).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

/// Casts to a type; nothing must be rounded or cut.
fn exactly(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let narrow = cast_with_options(column, data_type, &STRICT)?;
    match is_kept(column, &narrow)? {
        true => Ok(narrow),
        false => Err(ArrowError::ParseError(format!("a value has more digits than {data_type} has"))),
    }
}

/// Whether decimals and times that were cast are the same when they are cast back.
fn is_kept(wide: &ArrayRef, narrow: &ArrayRef) -> Result<bool, ArrowError> {
    match narrow.data_type() {
        narrowed if narrowed.is_decimal() || narrowed.is_temporal() => {
            Ok(*cast_with_options(narrow, wide.data_type(), &STRICT)? == **wide)
        }
        DataType::List(_) => is_kept(wide.as_list::<i32>().values(), narrow.as_list::<i32>().values()),
        DataType::LargeList(_) => is_kept(wide.as_list::<i64>().values(), narrow.as_list::<i64>().values()),
        DataType::FixedSizeList(..) => {
            is_kept(wide.as_fixed_size_list().values(), narrow.as_fixed_size_list().values())
        }
        DataType::Struct(_) => {
            let columns = wide.as_struct().columns().iter().zip(narrow.as_struct().columns());
            columns.map(|(wide, narrow)| is_kept(wide, narrow)).try_fold(true, |all, one| Ok(all && one?))
        }
        _ => Ok(true),
    }
}

const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

/// A batch size for decoders that notice one record too many.
pub(crate) const ONE_TOO_MANY: usize = BATCH_ROWS + 2;
