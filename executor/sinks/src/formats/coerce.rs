//! Columns as Parquet has types for them: it knows no seconds and no dates in milliseconds, and readers would see bare
//! numbers. Seconds become milliseconds, dates in milliseconds become dates, at any depth; a value that would change is
//! an error.

use std::error::Error;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_cast::cast;
use arrow_schema::{DataType, Schema, SchemaRef, TimeUnit};

use crate::formats::misfit::Misfit;
use crate::formats::plain::{map_field, map_type};

/// The schema that is written in place of this one.
pub(crate) fn coerced_schema(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<_> = schema.fields().iter().map(|field| map_field(field, &coerced)).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn coerced(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(TimeUnit::Second, zone) => Some(DataType::Timestamp(TimeUnit::Millisecond, zone.clone())),
        DataType::Time32(TimeUnit::Second) => Some(DataType::Time32(TimeUnit::Millisecond)),
        DataType::Date64 => Some(DataType::Date32),
        DataType::Dictionary(key, value) => {
            Some(DataType::Dictionary(key.clone(), Box::new(map_type(value, &coerced))))
        }
        _ => None,
    }
}

/// The batch with the columns of [`coerced_schema`].
pub(crate) fn coerce(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Box<dyn Error + Send + Sync>> {
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(column.clone()),
        false => exactly(column, field.data_type()).map_err(|row| Misfit::new(row, field.name(), reason(column))),
    });
    let columns = columns.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// A column in another type, or its first row that would change.
fn exactly(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, usize> {
    let there_and_back = |column: &ArrayRef| {
        let there = cast(column, data_type).ok()?;
        // What does not fit has become null, or another value.
        let back = cast(&there, column.data_type()).ok()?;
        (*back == **column).then_some(there)
    };
    let changes = |row: &usize| there_and_back(&column.slice(*row, 1)).is_none();
    there_and_back(column).ok_or_else(|| (0..column.len()).find(changes).unwrap_or(0))
}

fn reason(column: &ArrayRef) -> String {
    format!(
        "parquet has no {}, and the value does not fit what is nearest; write arrow, or turn it into another type in a \
         stage before the sink",
        column.data_type()
    )
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array, Date64Array, Int64Array, StructArray, TimestampSecondArray};
    use arrow_buffer::NullBuffer;
    use arrow_schema::Field;

    use super::*;

    fn one(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(Int64Array::new_null(column.len())) as _, true),
            ("t", column, true),
        ])
        .unwrap()
    }

    fn write(column: ArrayRef) -> Result<ArrayRef, String> {
        let batch = one(column);
        let coerced = coerce(&batch, &coerced_schema(&batch.schema()));
        coerced.map(|batch| batch.column(1).clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn seconds_become_milliseconds_and_dates_lose_their_time_of_midnight() {
        let times = TimestampSecondArray::from(vec![Some(1_709_208_000), None, Some(-1)]).with_timezone("UTC");
        let written = write(Arc::new(times)).unwrap();
        let expected = arrow_array::TimestampMillisecondArray::from(vec![Some(1_709_208_000_000), None, Some(-1000)]);
        assert_eq!(written.as_ref(), &expected.with_timezone("UTC") as &dyn Array);
        let days = write(Arc::new(Date64Array::from(vec![86_400_000, -86_400_000]))).unwrap();
        assert_eq!(days.as_ref(), &arrow_array::Date32Array::from(vec![1, -1]) as &dyn Array);
    }

    #[test]
    fn a_value_that_would_change_is_told_by_its_row() {
        let error = write(Arc::new(Date64Array::from(vec![0, 86_400_000, 1]))).unwrap_err();
        assert!(error.starts_with("row 3 of a batch, column `t`: parquet has no Date64"), "{error}");
        for far in [i64::MAX, i64::MIN, 86_400_000 * (1 << 32)] {
            assert!(write(Arc::new(Date64Array::from(vec![far]))).is_err(), "{far}");
        }
        assert!(write(Arc::new(TimestampSecondArray::from(vec![i64::MAX / 1000 + 1]))).is_err());
        assert!(write(Arc::new(TimestampSecondArray::from(vec![i64::MAX / 1000]))).is_ok());
    }

    #[test]
    fn what_lies_under_nulls_is_no_value() {
        let times: ArrayRef = Arc::new(TimestampSecondArray::from(vec![1, i64::MAX]));
        let field = Arc::new(Field::new("t", times.data_type().clone(), false));
        let nulls = Some(NullBuffer::from(vec![true, false]));
        let within = StructArray::new(vec![field].into(), vec![times], nulls);
        assert!(write(Arc::new(within)).unwrap().is_null(1));
    }
}
