//! Records that are streams of Arrow IPC: each has its columns, and any number of rows.

use std::io::Cursor;
use std::sync::Arc;

use arrow_array::{BinaryArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use flowc_platform::guarded;

use crate::fault::Fault;

/// The rows of records, and the number of the record of each. A record without a value is a row of nulls.
///
/// # Errors
/// If a record is no Arrow IPC, or lacks one of the columns, or has one of another type.
pub fn decode(values: &BinaryArray, columns: &SchemaRef) -> Result<(RecordBatch, UInt64Array), Fault> {
    let (mut batches, mut records) = (Vec::new(), Vec::new());
    for (record, value) in (0u64..).zip(values) {
        let read = match value {
            Some(value) => guarded(|| read(value, columns)).unwrap_or_else(|panic| Err(Fault::Record(panic)))?,
            None => vec![nulls(columns)?],
        };
        records.extend(read.iter().flat_map(|batch| std::iter::repeat_n(record, batch.num_rows())));
        batches.extend(read);
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(records.len()));
    let all = match columns.fields().is_empty() {
        true => RecordBatch::try_new_with_options(columns.clone(), Vec::new(), &rows),
        false => concat_batches(columns, &batches),
    };
    Ok((all.map_err(Fault::record)?, UInt64Array::from(records)))
}

fn nulls(columns: &SchemaRef) -> Result<RecordBatch, Fault> {
    let arrays = columns.fields().iter().map(|field| arrow_array::new_null_array(field.data_type(), 1)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(columns.clone(), arrays, &options).map_err(Fault::record)
}

fn read(value: &[u8], columns: &SchemaRef) -> Result<Vec<RecordBatch>, Fault> {
    let broken = |error: ArrowError| Fault::record(format!("it is no stream of Arrow IPC: {error}"));
    let reader = StreamReader::try_new(Cursor::new(value), None).map_err(broken)?;
    let found = reader.schema();
    let mut places = Vec::with_capacity(columns.fields().len());
    for field in columns.fields() {
        let place =
            found.index_of(field.name()).map_err(|_| Fault::record(format!("it has no column `{}`", field.name())))?;
        let data_type = found.field(place).data_type();
        if !is_same(data_type, field.data_type()) {
            let (name, expected) = (field.name(), field.data_type());
            return Err(Fault::record(format!("its column `{name}` is {data_type}, where {expected} is expected")));
        }
        places.push(place);
    }
    let conform = |batch: Result<RecordBatch, ArrowError>| {
        let batch = batch.map_err(broken)?;
        let arrays = places.iter().zip(columns.fields()).map(|(&place, field)| {
            let column = batch.column(place);
            arrow_cast::cast(column, field.data_type()).map_err(broken)
        });
        let arrays = arrays.collect::<Result<Vec<_>, Fault>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(columns.clone(), arrays, &options).map_err(Fault::record)
    };
    reader.map(conform).collect()
}

/// Whether values of a record are those of a column: dictionaries are told by their values.
fn is_same(found: &DataType, expected: &DataType) -> bool {
    let value = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    };
    value(found).equals_datatype(&value(expected))
}

/// Gives the record of each row, in order.
///
/// # Errors
/// If Arrow refuses a row.
pub fn encode(batch: &RecordBatch, take: &mut dyn FnMut(&[u8])) -> Result<(), ArrowError> {
    let batch = plain(batch)?;
    for row in 0..batch.num_rows() {
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(&alone(&batch.slice(row, 1))?)?;
        take(&writer.into_inner()?);
    }
    Ok(())
}

/// One row by itself: what lies beside it in the buffers of a slice is written as well.
fn alone(row: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let indices = UInt64Array::from(vec![0]);
    let columns = row.columns().iter().map(|column| arrow_select::take::take(column, &indices, None));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    RecordBatch::try_new_with_options(row.schema(), columns, &options)
}

/// Dictionaries of the top level as plain values.
fn plain(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let plain_type = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    };
    let fields =
        schema.fields().iter().map(|field| field.as_ref().clone().with_data_type(plain_type(field.data_type())));
    let target: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = batch.columns().iter().zip(target.fields());
    let columns = columns.map(|(column, field)| arrow_cast::cast(column, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(target, columns, &options)
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, DictionaryArray, Int64Array};
    use arrow_schema::Field;

    use super::*;
    use crate::testing::{text, values};

    fn columns(fields: &[(&str, DataType)]) -> SchemaRef {
        let fields = fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    fn rows() -> RecordBatch {
        let words: DictionaryArray<arrow_array::types::Int8Type> = ["a", "b", "a"].into_iter().collect();
        let numbers = Int64Array::from(vec![Some(1), None, Some(3)]);
        RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef), ("w", Arc::new(words) as _)]).unwrap()
    }

    #[test]
    fn rows_come_back_and_records_may_have_several() {
        let mut records = Vec::new();
        encode(&rows(), &mut |record| records.push(record.to_vec())).unwrap();
        let mut several = StreamWriter::try_new(Vec::new(), &rows().schema()).unwrap();
        (0..2).for_each(|_| several.write(&rows()).unwrap());
        records.push(several.into_inner().unwrap());
        let wanted = columns(&[("w", DataType::Utf8), ("n", DataType::Int64)]);
        let (batch, of) = decode(&values(records.iter().map(Vec::as_slice)), &wanted).unwrap();
        assert_eq!(text(&batch), ["a|1", "b|~", "a|3"].repeat(3));
        assert_eq!(of.values()[..], [0, 1, 2, 3, 3, 3, 3, 3, 3]);
        let (batch, _) = decode(&values(records.iter().map(Vec::as_slice)), &columns(&[])).unwrap();
        assert_eq!(batch.num_rows(), 9);
        assert_eq!(text(&decode(&BinaryArray::new_null(1), &wanted).unwrap().0), ["~|~"]);
    }

    #[test]
    fn what_is_wrong_with_a_record_is_told() {
        let mut records = Vec::new();
        encode(&rows(), &mut |record| records.push(record.to_vec())).unwrap();
        let told = |record: &[u8], wanted: &[(&str, DataType)]| {
            decode(&values([record]), &columns(wanted)).unwrap_err().to_string()
        };
        assert!(told(b"{}", &[("n", DataType::Int64)]).starts_with("it is no stream of Arrow IPC"));
        assert!(told(&records[0][..records[0].len() / 2], &[("n", DataType::Int64)]).contains("Arrow IPC"));
        assert_eq!(told(&records[0], &[("x", DataType::Int64)]), "it has no column `x`");
        let told = told(&records[0], &[("n", DataType::Utf8)]);
        assert_eq!(told, "its column `n` is Int64, where Utf8 is expected");
    }
}
