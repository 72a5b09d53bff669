//! Columns as people see them. Arrow has no text for times beyond its calendar: it gives an error's text, `<invalid>` or
//! nothing. Here such a time is its count and unit: `9223372036854775807 s`.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, StringArray, make_array};
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType, Field, FieldRef, TimeUnit};
use flowc_platform::guarded;

/// The text of Arrow for a duration beyond its calendar.
const INVALID: &str = "<invalid>";

/// A column of which every value has a text: the column itself, or one with texts in place of its times, at any depth,
/// where one of them has none.
///
/// # Errors
/// If values of the type have no text at all, such as times of a zone that there is not.
pub fn printable(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(printed(array.to_data())?.map_or_else(|| array.clone(), make_array))
}

/// The text of one value, for messages.
pub fn shown(array: &ArrayRef, row: usize) -> String {
    let text = |array: &ArrayRef| {
        let array = printable(array)?;
        ArrayFormatter::try_new(&array, &FormatOptions::new().with_display_error(false))?.value(row).try_to_string()
    };
    text(array).unwrap_or_else(|_| format!("a value of type {}", array.data_type()))
}

/// The data of a printable column; none where it is the same.
fn printed(data: ArrayData) -> Result<Option<ArrayData>, ArrowError> {
    if unit(data.data_type()).is_some() {
        return print_times(&make_array(data));
    }
    let children: Vec<_> = data.child_data().iter().cloned().map(printed).collect::<Result<_, _>>()?;
    if children.iter().all(Option::is_none) {
        return Ok(None);
    }
    let children: Vec<ArrayData> =
        children.into_iter().zip(data.child_data()).map(|(new, old)| new.unwrap_or_else(|| old.clone())).collect();
    let types: Vec<&DataType> = children.iter().map(ArrayData::data_type).collect();
    let data_type = with_children(data.data_type(), &types);
    data.into_builder().data_type(data_type).child_data(children).build().map(Some)
}

/// Texts of times; none where Arrow has a text for each.
fn print_times(times: &ArrayRef) -> Result<Option<ArrayData>, ArrowError> {
    let options = FormatOptions::new().with_display_error(false);
    let values = ArrayFormatter::try_new(times, &options)?;
    let text = |row: usize| {
        // At the ends of its calendar Arrow panics where a zone leads beyond.
        let text = || values.value(row).try_to_string().ok().filter(|text| text != INVALID);
        times.is_valid(row).then(|| guarded(text).ok().flatten())
    };
    let texts: Vec<Option<Option<String>>> = (0..times.len()).map(text).collect();
    if texts.iter().flatten().all(Option::is_some) {
        return Ok(None);
    }
    let counts = (0..).zip(texts).map(|(row, text)| text.map(|text| text.unwrap_or_else(|| counted(times, row))));
    Ok(Some(counts.collect::<StringArray>().into_data()))
}

/// A time as its count and unit.
pub(crate) fn counted(times: &dyn Array, row: usize) -> String {
    let count =
        cast(&times.slice(row, 1), &counts_of(times.data_type())).and_then(|count| cast(&count, &DataType::Int64));
    let count = count.ok().and_then(|count| count.as_any().downcast_ref::<Int64Array>().map(|count| count.value(0)));
    match (count, unit(times.data_type())) {
        (Some(count), Some(unit)) => format!("{count} {unit}"),
        _ => format!("a value of type {}", times.data_type()),
    }
}

/// The numbers that a type of times counts with.
fn counts_of(data_type: &DataType) -> DataType {
    match data_type.primitive_width() {
        Some(4) => DataType::Int32,
        _ => DataType::Int64,
    }
}

/// In what a type of times counts.
fn unit(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Date32 => "days",
        DataType::Date64 => "ms",
        DataType::Timestamp(unit, _) | DataType::Duration(unit) | DataType::Time32(unit) | DataType::Time64(unit) => {
            match unit {
                TimeUnit::Second => "s",
                TimeUnit::Millisecond => "ms",
                TimeUnit::Microsecond => "µs",
                TimeUnit::Nanosecond => "ns",
            }
        }
        _ => return None,
    })
}

/// A nested type with other types within, in the order of its data.
fn with_children(data_type: &DataType, types: &[&DataType]) -> DataType {
    let field = |field: &FieldRef, at: usize| Arc::new(Field::clone(field).with_data_type(types[at].clone()));
    match data_type {
        DataType::List(item) => DataType::List(field(item, 0)),
        DataType::LargeList(item) => DataType::LargeList(field(item, 0)),
        DataType::ListView(item) => DataType::ListView(field(item, 0)),
        DataType::LargeListView(item) => DataType::LargeListView(field(item, 0)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item, 0), *size),
        DataType::Map(entries, sorted) => DataType::Map(field(entries, 0), *sorted),
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().enumerate().map(|(at, member)| field(member, at)).collect())
        }
        DataType::Union(fields, mode) => {
            let fields = fields.iter().enumerate().map(|(at, (id, member))| (id, field(member, at)));
            DataType::Union(fields.collect(), *mode)
        }
        DataType::Dictionary(key, _) => DataType::Dictionary(key.clone(), Box::new(types[0].clone())),
        DataType::RunEndEncoded(ends, values) => DataType::RunEndEncoded(ends.clone(), field(values, 1)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int32Type;
    use arrow_array::{DictionaryArray, Int32Array, ListArray, RunArray, StructArray};
    use arrow_buffer::OffsetBuffer;
    use flowc_columns::testing::{array, every_type};

    use super::*;

    fn types() -> Vec<DataType> {
        let zones =
            [None, Some("UTC"), Some("-23:59"), Some("+23:59"), Some("Europe/Berlin"), Some("Pacific/Kiritimati")];
        let units = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];
        let times = units.into_iter().flat_map(|unit| {
            let zoned = zones.map(|zone| DataType::Timestamp(unit, zone.map(Into::into)));
            zoned.into_iter().chain([DataType::Duration(unit)])
        });
        use DataType::{Date32, Date64, Time32, Time64};
        let days = [Time32(units[0]), Time32(units[1]), Time64(units[2]), Time64(units[3])];
        times.chain([Date32, Date64]).chain(days).collect()
    }

    /// The first and last seconds of Arrow's calendar, and those around them.
    const ENDS: [i64; 6] = [
        -8_334_601_228_801,
        -8_334_601_228_800,
        -8_334_601_200_000,
        8_210_266_870_000,
        8_210_266_876_799,
        8_210_266_876_800,
    ];

    fn column(counts: &[Option<i64>], data_type: &DataType) -> ArrayRef {
        let counts = Int64Array::from(counts.to_vec());
        let narrow = cast(&counts, &counts_of(data_type)).unwrap();
        make_array(narrow.into_data().into_builder().data_type(data_type.clone()).build().unwrap())
    }

    fn texts(array: &ArrayRef) -> Vec<String> {
        (0..array.len()).map(|row| shown(array, row)).collect()
    }

    #[test]
    fn every_time_has_a_text_and_ordinary_ones_have_arrows() {
        for data_type in types() {
            let (least, most) = match data_type.primitive_width() {
                Some(4) => (i64::from(i32::MIN), i64::from(i32::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            let extremes: Vec<i64> =
                (0..64)
                    .flat_map(|bits| [1i64 << bits.min(62), -(1i64 << bits.min(62))])
                    .chain([least, least + 1, most - 1, most])
                    .chain(ENDS.iter().flat_map(|end| {
                        [1, 1000, 1_000_000, 1_000_000_000].map(|second: i64| end.saturating_mul(second))
                    }))
                    .filter(|count| (least..=most).contains(count))
                    .collect();
            let array = column(&extremes.iter().copied().map(Some).collect::<Vec<_>>(), &data_type);
            for (count, text) in extremes.iter().zip(texts(&array)) {
                let has_count = text.starts_with(&format!("{count} "));
                let is_of_calendar = text.contains(['-', ':', 'P']) && !has_count;
                assert!(has_count || is_of_calendar, "{count} of {data_type}: {text}");
                assert!(!text.contains("ERROR") && !text.contains(INVALID), "{text}");
            }
            let ordinary = column(&[Some(0), None, Some(86_399)], &data_type);
            assert_eq!(printable(&ordinary).unwrap().data_type(), &data_type);
        }
        let far = column(&[Some(i64::MAX), None, Some(0)], &DataType::Timestamp(TimeUnit::Second, None));
        assert_eq!(texts(&far), ["9223372036854775807 s", "", "1970-01-01T00:00:00"]);
        assert_eq!(texts(&column(&[Some(86_400)], &DataType::Time32(TimeUnit::Second))), ["86400 s"]);
    }

    #[test]
    fn times_within_other_values_have_texts_too() {
        let times = column(&[Some(i64::MAX), Some(0), None], &DataType::Timestamp(TimeUnit::Millisecond, None));
        let item = Arc::new(Field::new_list_field(times.data_type().clone(), true));
        let list: ArrayRef =
            Arc::new(ListArray::new(item.clone(), OffsetBuffer::from_lengths([2, 1]), times.clone(), None));
        assert_eq!(texts(&list), ["[9223372036854775807 ms, 1970-01-01T00:00:00]", "[]"]);
        assert_eq!(texts(&list.slice(1, 1)), ["[]"]);
        let record = StructArray::new(vec![item].into(), vec![times.clone()], None);
        let record: ArrayRef = Arc::new(record);
        assert_eq!(texts(&record.slice(0, 2)), ["{item: 9223372036854775807 ms}", "{item: 1970-01-01T00:00:00}"]);
        let keys = Int32Array::from(vec![1, 0]);
        let words: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, times.clone()));
        assert_eq!(texts(&words), ["1970-01-01T00:00:00", "9223372036854775807 ms"]);
        let runs = RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3, 4]), &times).unwrap();
        assert_eq!(texts(&(Arc::new(runs) as ArrayRef))[1], "9223372036854775807 ms");
    }

    #[test]
    fn columns_of_every_type_are_printed() {
        for data_type in every_type() {
            for seed in 0..20 {
                let array = array(&data_type, 20, seed, seed);
                let printable = printable(&array).unwrap();
                assert_eq!(printable.len(), 20, "{data_type}");
                assert!(texts(&array).iter().all(|text| !text.contains("ERROR") && !text.contains(INVALID)));
            }
        }
    }
}
