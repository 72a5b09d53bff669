//! Ranges of a cursor: each is a part, whose name says what it is.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};

/// Rows beyond a value of the cursor, up to another one, and this included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    /// The value before the first row; none where nothing was read before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<String>,
    /// The last row's value.
    pub(super) upto: String,
    /// The type of both.
    #[serde(rename = "type")]
    pub(super) data_type: DataType,
}

impl Range {
    /// The range up to the largest value, of rows that were not read yet; none if there are none.
    ///
    /// # Errors
    /// If values of the cursor's type can't be told and bound again.
    pub(super) fn next(before: Option<&Self>, largest: &RecordBatch) -> Result<Option<Self>, String> {
        let [column] = largest.columns() else { return Err("the database gives no largest value".to_owned()) };
        if column.is_empty() || column.is_null(0) {
            return Ok(None);
        }
        let data_type = column.data_type().clone();
        let upto = text(column).ok_or_else(|| format!("a cursor can't be of type {data_type}; {ADVICE}"))?;
        Ok(Some(Self { after: before.map(|range| range.upto.clone()), upto, data_type }))
    }

    /// Ranges of integers that cover all from the least to the largest, at most so many. They end at multiples of a power of two, so that they
    /// stay where they are while the values grow, but for each time that there are twice as many.
    ///
    /// # Errors
    /// If the column has no integers.
    pub(super) fn split(bounds: &RecordBatch, most: u32) -> Result<Vec<Self>, String> {
        let [least, largest] = bounds.columns() else { return Err("the database gives no bounds".to_owned()) };
        if least.is_empty() || least.is_null(0) {
            return Ok(Vec::new());
        }
        // A column of SQLite may have values of several types, of which the least and the largest are.
        let integer = |column: &ArrayRef, which| {
            let found = column.data_type();
            let number = text(column).filter(|_| found.is_integer()).and_then(|text| text.parse::<i128>().ok());
            number.ok_or_else(|| {
                format!(
                    "rows are split by integers, but its {which} value is of type {found}; use a column of integers"
                )
            })
        };
        let data_type = least.data_type().clone();
        let (least, largest) = (integer(least, "least")?, integer(largest, "largest")?);
        let blocks = |bits: u32| (largest >> bits) - (least >> bits) + 1;
        let bits = (0..128).find(|&bits| blocks(bits) <= i128::from(most)).unwrap_or(127);
        let range = |block: i128| {
            let after = (block << bits) - 1;
            let upto = (((block + 1) << bits) - 1).min(largest);
            let after = (block > least >> bits).then(|| after.to_string());
            Self { after, upto: upto.to_string(), data_type: data_type.clone() }
        };
        Ok((least >> bits..=largest >> bits).map(range).collect())
    }

    /// What follows the rows' name in that of a part: `, rows after 5 up to 9 (Int64)`.
    pub(super) fn name(&self) -> String {
        let shown = |value: &str| match self.data_type.is_integer() {
            true => value.to_owned(),
            // Whatever is in it, it ends where its quote does.
            false => serde_json::Value::from(value).to_string(),
        };
        let after = self.after.as_ref().map_or_else(String::new, |after| format!("{AFTER}{}", shown(after)));
        format!("{ROWS}{after}{UPTO}{} ({})", shown(&self.upto), self.data_type)
    }

    /// The range that a part's name says behind that of the rows.
    pub(super) fn of_name(part: &str, rows: &str) -> Option<Self> {
        let rest = part.strip_prefix(rows)?;
        let Some(rest) = rest.strip_prefix(ROWS) else {
            // As names were once.
            return serde_json::from_str(rest).ok();
        };
        let (after, rest) = match rest.strip_prefix(AFTER) {
            Some(rest) => first_value(rest).map(|(value, rest)| (Some(value), rest))?,
            None => (None, rest),
        };
        let (upto, rest) = first_value(rest.strip_prefix(UPTO)?)?;
        let data_type = rest.strip_prefix(" (")?.strip_suffix(')')?.parse().ok()?;
        Some(Self { after, upto, data_type })
    }

    /// The value before the first row, to be bound.
    pub(super) fn after(&self) -> Option<ArrayRef> {
        value(self.after.as_deref()?, &self.data_type)
    }

    /// The last row's value, to be bound.
    pub(super) fn upto(&self) -> Option<ArrayRef> {
        value(&self.upto, &self.data_type)
    }

    /// A query's own parameters, with these behind them.
    pub(super) fn parameters(own: Option<RecordBatch>, values: Vec<ArrayRef>) -> Option<RecordBatch> {
        let columns: Vec<ArrayRef> = own.iter().flat_map(|own| own.columns().to_vec()).chain(values).collect();
        let field =
            |(number, column): (usize, &ArrayRef)| Field::new(number.to_string(), column.data_type().clone(), true);
        let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
        (!columns.is_empty()).then(|| RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).ok()).flatten()
    }
}

const ROWS: &str = ", rows";
const AFTER: &str = " after ";
const UPTO: &str = " up to ";

/// The number or the text in quotes that a text begins with, and what follows it.
fn first_value(text: &str) -> Option<(String, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let value = match values.next()?.ok()? {
        serde_json::Value::String(text) => text,
        number @ serde_json::Value::Number(_) => number.to_string(),
        _ => return None,
    };
    Some((value, text.get(values.byte_offset()..)?))
}

const ADVICE: &str = "use a column of integers, texts, dates or times";

/// The first value as a text that says all of it. A time is its number where its text does not.
fn text(column: &ArrayRef) -> Option<String> {
    let first = column.slice(0, 1);
    let number = by_number(column.data_type()).and_then(|number| cast(&first, &number).ok());
    let says_all = |values: &ArrayRef| {
        let texts = cast(values, &DataType::Utf8).ok()?;
        let text = texts.as_any().downcast_ref::<StringArray>()?.value(0).to_owned();
        value(&text, first.data_type()).is_some_and(|back| back.as_ref() == first.as_ref()).then_some(text)
    };
    says_all(&first).or_else(|| says_all(number.as_ref()?))
}

/// A value of a text.
fn value(text: &str, data_type: &DataType) -> Option<ArrayRef> {
    if !is_cursor(data_type) {
        return None;
    }
    let texts: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    match by_number(data_type).filter(|_| text.parse::<i64>().is_ok()) {
        Some(number) => cast(&cast_with_options(&texts, &number, &strict).ok()?, data_type).ok(),
        None => cast_with_options(&texts, data_type, &strict).ok(),
    }
}

/// The integers that stand for times.
fn by_number(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(..) | DataType::Date64 | DataType::Time64(_) => Some(DataType::Int64),
        DataType::Date32 | DataType::Time32(_) => Some(DataType::Int32),
        _ => None,
    }
}

fn is_cursor(data_type: &DataType) -> bool {
    let is_text = matches!(data_type, DataType::Utf8 | DataType::LargeUtf8);
    is_text || data_type.is_integer() || by_number(data_type).is_some()
}

#[cfg(test)]
mod tests {
    use arrow_array::{BinaryArray, Int64Array, TimestampMicrosecondArray};
    use flowc_columns::testing::every_type;

    use super::*;

    fn largest(column: ArrayRef) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable([("max", column, true)]).unwrap()
    }

    #[test]
    fn ranges_follow_each_other_and_are_found_in_names() {
        let times = TimestampMicrosecondArray::from(vec![Some(1_700_000_000_123_456)]).with_timezone("UTC");
        let columns: [ArrayRef; 3] = [
            Arc::new(Int64Array::from(vec![Some(i64::MAX)])),
            Arc::new(StringArray::from(vec![Some("a\" {..")])),
            Arc::new(times),
        ];
        for column in columns {
            let first = Range::next(None, &largest(column.clone())).unwrap().unwrap();
            assert_eq!(first.upto().unwrap().as_ref(), column.as_ref());
            let second = Range::next(Some(&first), &largest(column.clone())).unwrap().unwrap();
            assert_eq!(second.after().unwrap().as_ref(), column.as_ref());
            for range in [first, second] {
                assert_eq!(Range::of_name(&format!("events{}", range.name()), "events"), Some(range.clone()));
                let once = serde_json::to_string(&range).unwrap();
                assert_eq!(Range::of_name(&format!("events {once}"), "events"), Some(range));
            }
        }
    }

    #[test]
    fn ranges_are_named_in_plain_words() {
        let named = |after: Option<&str>, upto: &str, data_type: &str| {
            let (after, data_type) = (after.map(str::to_owned), data_type.parse().unwrap());
            Range { after, upto: upto.to_owned(), data_type }.name()
        };
        assert_eq!(named(None, "9", "Int64"), ", rows up to 9 (Int64)");
        assert_eq!(named(Some("-5"), "9", "Int64"), ", rows after -5 up to 9 (Int64)");
        assert_eq!(named(Some("a"), "b\" up", "Utf8"), r#", rows after "a" up to "b\" up" (Utf8)"#);
        let time = TimestampMicrosecondArray::from(vec![1_700_000_000_123_456]).with_timezone("UTC");
        let range = Range::next(None, &largest(Arc::new(time))).unwrap().unwrap();
        assert_eq!(range.name(), r#", rows up to "2023-11-14T22:13:20.123456Z" (Timestamp(µs, "UTC"))"#);
    }

    #[test]
    fn times_of_every_type_are_told_and_bound_again() {
        let times = every_type().into_iter().filter(|data_type| by_number(data_type).is_some());
        let integers = every_type().into_iter().filter(DataType::is_integer);
        for data_type in times.chain(integers) {
            for number in [i64::MIN, i64::from(i32::MIN), -1, 0, 1, 86_399, i64::from(i32::MAX), i64::MAX] {
                let number: ArrayRef = Arc::new(Int64Array::from(vec![number]));
                let narrow = by_number(&data_type).and_then(|narrow| cast(&number, &narrow).ok());
                let Ok(column) = cast(narrow.as_ref().unwrap_or(&number), &data_type) else { continue };
                let Some(range) = Range::next(None, &largest(column.clone())).unwrap() else { continue };
                let again = Range::of_name(&format!("t{}", range.name()), "t");
                assert_eq!(again.as_ref(), Some(&range), "{}", range.name());
                assert_eq!(again.unwrap().upto().unwrap().as_ref(), column.as_ref(), "{}", range.name());
            }
        }
    }

    #[test]
    fn rows_are_split_at_the_same_places_while_they_grow() {
        let split = |least: i64, largest: i64, most: u32| {
            let bounds: [(&str, ArrayRef); 2] =
                [("a", Arc::new(Int64Array::from(vec![least]))), ("b", Arc::new(Int64Array::from(vec![largest])))];
            let ranges = Range::split(&RecordBatch::try_from_iter(bounds).unwrap(), most).unwrap();
            ranges.into_iter().map(|range| (range.after, range.upto)).collect::<Vec<_>>()
        };
        let range = |after: Option<&str>, upto: &str| (after.map(str::to_owned), upto.to_owned());
        assert_eq!(split(1, 9, 2), [range(None, "7"), range(Some("7"), "9")]);
        assert_eq!(split(1, 15, 2), [range(None, "7"), range(Some("7"), "15")]);
        assert_eq!(
            split(-3, 2, 4),
            [range(None, "-3"), range(Some("-3"), "-1"), range(Some("-1"), "1"), range(Some("1"), "2")]
        );
        assert_eq!(split(5, 5, 8), [range(None, "5")]);
        let all = split(i64::MIN, i64::MAX, 4);
        assert_eq!((all.len(), all[3].1.as_str()), (4, "9223372036854775807"));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let bounds = RecordBatch::try_from_iter([("a", texts.clone()), ("b", texts)]).unwrap();
        assert!(Range::split(&bounds, 4).unwrap_err().contains("its least value is of type Utf8"));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let bounds = RecordBatch::try_from_iter([("a", number), ("b", bounds.column(1).clone())]).unwrap();
        assert!(Range::split(&bounds, 4).unwrap_err().contains("its largest value is of type Utf8"));
    }

    #[test]
    fn nothing_new_is_no_range_and_a_type_without_an_order_is_refused() {
        let none: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        assert_eq!(Range::next(None, &largest(none)), Ok(None));
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"x"[..]]));
        assert!(Range::next(None, &largest(bytes)).unwrap_err().contains("can't be of type Binary"));
        for name in [
            "events",
            "events, rows",
            "events, rows up to",
            "events, rows up to 1 (Nothing)",
            "other, rows up to 1 (Int64)",
        ] {
            assert_eq!(Range::of_name(name, "events"), None, "{name}");
        }
    }
}
