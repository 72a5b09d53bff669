//! Columns as formats of text take them.
//!
//! Times of named zones are written in UTC. In local time the offset would be needed to the second, which no text has:
//! `Europe/Berlin` was at +00:53:28 until 1893. Dictionaries are written as plain values: nulls among a dictionary's
//! values are not seen by arrow-json.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Schema};

/// The batch with UTC in place of named zones and values in place of dictionaries, at any depth.
pub(crate) fn plain(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<FieldRef> = batch.schema().fields().iter().map(plain_field).collect();
    let cast = |(column, field): (&ArrayRef, &FieldRef)| match column.data_type() == field.data_type() {
        true => Ok(column.clone()),
        false => arrow_cast::cast(column, field.data_type()),
    };
    let columns = batch.columns().iter().zip(&fields).map(cast).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

fn plain_field(field: &FieldRef) -> FieldRef {
    match plain_type(field.data_type()) {
        same if same == *field.data_type() => field.clone(),
        other => Arc::new(Field::clone(field).with_data_type(other)),
    }
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(zone)) if !zone.starts_with(['+', '-']) => {
            // Zones that there are not are the encoder's to refuse.
            let known = zone.parse::<arrow_array::timezone::Tz>().is_ok();
            DataType::Timestamp(*unit, Some(if known { "UTC".into() } else { zone.clone() }))
        }
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::ListView(item) => DataType::ListView(plain_field(item)),
        DataType::LargeListView(item) => DataType::LargeListView(plain_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(plain_field(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(plain_field(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        DataType::Dictionary(_, value) => plain_type(value),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::TimestampSecondArray;
    use arrow_schema::TimeUnit;

    use super::*;

    #[test]
    fn named_zones_become_utc_dictionaries_values_and_content_stays() {
        let zoned = |zone: &str| DataType::Timestamp(TimeUnit::Second, Some(zone.into()));
        let within = |zone: &str| DataType::new_list(zoned(zone), true);
        for (from, to) in [
            (zoned("Europe/Berlin"), zoned("UTC")),
            (zoned("+02:00"), zoned("+02:00")),
            (zoned("Nowhere/Atlantis"), zoned("Nowhere/Atlantis")),
            (within("Asia/Tokyo"), within("UTC")),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(zoned("Asia/Tokyo"))), zoned("UTC")),
            (DataType::Utf8, DataType::Utf8),
        ] {
            assert_eq!(plain_type(&from), to);
        }
        let times = Arc::new(TimestampSecondArray::from(vec![-7_000_000_000]).with_timezone("Europe/Berlin"));
        let batch = RecordBatch::try_from_iter([("t", times as ArrayRef)]).unwrap();
        let expected = TimestampSecondArray::from(vec![-7_000_000_000]).with_timezone("UTC");
        assert_eq!(plain(&batch).unwrap().column(0).as_ref(), &expected);
    }
}
