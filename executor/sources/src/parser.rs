//! What a text format's parser must do for [`Sift`](crate::sift::Sift).

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, OffsetSizeTrait, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{
    ArrowError, DECIMAL256_MAX_PRECISION, DECIMAL256_MAX_SCALE, DataType, FieldRef, Fields, Schema, SchemaRef,
};

use crate::BATCH_ROWS;
use crate::times::{Ticks, is_time, read_times};

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

/// What a decoder of text reads in place of a type: long texts are not known to it, digits that a decimal has no room
/// for are cut, so that it is given room, and so are parts of a second, so that times are read from text here.
pub(crate) fn stand_in(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 => DataType::Utf8,
        time if is_time(time) => DataType::Utf8,
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

/// Turns a parser's columns into the types that its stand in for; a value that does not fit is an error.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef, ticks: Ticks) -> Result<RecordBatch, ArrowError> {
    let columns = exactly_all(batch.columns(), schema.fields(), ticks)?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

fn exactly_all(columns: &[ArrayRef], fields: &Fields, ticks: Ticks) -> Result<Vec<ArrayRef>, ArrowError> {
    columns.iter().zip(fields).map(|(column, field)| exactly(column, field.data_type(), ticks)).collect()
}

/// Turns a column into a type; nothing must be rounded or cut.
fn exactly(column: &ArrayRef, data_type: &DataType, ticks: Ticks) -> Result<ArrayRef, ArrowError> {
    match data_type {
        same if column.data_type() == same => Ok(column.clone()),
        time if is_time(time) => read_times(column, time, ticks),
        DataType::List(item) => exact_list(column.as_list::<i32>(), item, ticks),
        DataType::LargeList(item) => exact_list(column.as_list::<i64>(), item, ticks),
        DataType::FixedSizeList(item, size) => {
            let list = column.as_fixed_size_list();
            let values = exactly(list.values(), item.data_type(), ticks)?;
            Ok(Arc::new(FixedSizeListArray::try_new(item.clone(), *size, values, list.nulls().cloned())?))
        }
        DataType::Struct(fields) => {
            let parts = column.as_struct();
            let columns = exactly_all(parts.columns(), fields, ticks)?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, parts.nulls().cloned())?))
        }
        _ => exact_scalars(column, data_type),
    }
}

fn exact_list<O: OffsetSizeTrait>(
    list: &GenericListArray<O>,
    item: &FieldRef,
    ticks: Ticks,
) -> Result<ArrayRef, ArrowError> {
    let values = exactly(list.values(), item.data_type(), ticks)?;
    Ok(Arc::new(GenericListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?))
}

/// Decimals must be the same when they are cast back.
fn exact_scalars(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let narrow = cast_with_options(column, data_type, &STRICT)?;
    if data_type.is_decimal() && *cast_with_options(&narrow, column.data_type(), &STRICT)? != **column {
        return Err(ArrowError::ParseError(format!("a value has more digits than {data_type} has")));
    }
    Ok(narrow)
}

/// A value that does not fit is an error.
pub(crate) const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

/// A batch size for decoders that notice one record too many.
pub(crate) const ONE_TOO_MANY: usize = BATCH_ROWS + 2;
