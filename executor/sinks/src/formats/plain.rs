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
    let fields: Vec<FieldRef> = batch.schema().fields().iter().map(|field| map_field(field, &plain_leaf)).collect();
    let columns = batch.columns().iter().map(plain_array).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// The same for one column.
pub(crate) fn plain_array(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match map_type(array.data_type(), &plain_leaf) {
        same if same == *array.data_type() => Ok(array.clone()),
        other => arrow_cast::cast(array, &other),
    }
}

fn plain_leaf(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(unit, Some(zone)) if !zone.starts_with(['+', '-']) => {
            // Zones that there are not are the encoder's to refuse.
            let known = zone.parse::<arrow_array::timezone::Tz>().is_ok();
            Some(DataType::Timestamp(*unit, Some(if known { "UTC".into() } else { zone.clone() })))
        }
        DataType::Dictionary(_, value) => Some(map_type(value, &plain_leaf)),
        _ => None,
    }
}

/// A field with other types in the places that `map` has one for.
pub(crate) fn map_field(field: &FieldRef, map: &dyn Fn(&DataType) -> Option<DataType>) -> FieldRef {
    match map_type(field.data_type(), map) {
        same if same == *field.data_type() => field.clone(),
        other => Arc::new(Field::clone(field).with_data_type(other)),
    }
}

/// The same for a type: itself, or those within it.
pub(crate) fn map_type(data_type: &DataType, map: &dyn Fn(&DataType) -> Option<DataType>) -> DataType {
    let field = |field: &FieldRef| map_field(field, map);
    if let Some(mapped) = map(data_type) {
        return mapped;
    }
    match data_type {
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::ListView(item) => DataType::ListView(field(item)),
        DataType::LargeListView(item) => DataType::LargeListView(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(ends.clone(), field(values)),
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
            assert_eq!(map_type(&from, &plain_leaf), to);
        }
        let times = Arc::new(TimestampSecondArray::from(vec![-7_000_000_000]).with_timezone("Europe/Berlin"));
        let batch = RecordBatch::try_from_iter([("t", times as ArrayRef)]).unwrap();
        let expected = TimestampSecondArray::from(vec![-7_000_000_000]).with_timezone("UTC");
        assert_eq!(plain(&batch).unwrap().column(0).as_ref(), &expected);
    }
}
