//! Text to dates and times. Arrow cuts digits that a type has no room for; here they do not fit.

use arrow_array::cast::AsArray;
use arrow_array::timezone::Tz;
use arrow_array::types::Date64Type;
use arrow_array::{Array, ArrayRef};
use arrow_cast::parse::Parser;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use arrow_select::zip::zip;

use crate::parser::STRICT;

const MILLISECONDS_A_DAY: i64 = 86_400_000;

/// A text that is no value is null.
const LENIENT: CastOptions<'static> =
    CastOptions { safe: true, format_options: arrow_cast::display::FormatOptions::new() };

/// Whether a whole number stands for a time, counted in the type's own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticks {
    /// In formats that have numbers.
    Taken,
    /// In formats where all is text.
    Refused,
}

/// Whether values of a type are read by [`read_times`].
pub(crate) fn is_time(data_type: &DataType) -> bool {
    use DataType::{Date32, Date64, Time32, Time64, Timestamp};
    matches!(data_type, Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..))
}

/// Whether a time zone is known. UTC is, in any case.
pub(crate) fn is_zone(zone: &str) -> bool {
    zone.eq_ignore_ascii_case("utc") || zone.parse::<Tz>().is_ok()
}

/// Reads texts as dates or times. One that is none, or is more exact than the type, is an error.
pub(crate) fn read_times(texts: &ArrayRef, data_type: &DataType, ticks: Ticks) -> Result<ArrayRef, ArrowError> {
    if let Some(text) = texts.as_string::<i32>().iter().flatten().find(|text| is_finer(text, data_type)) {
        return Err(ArrowError::ParseError(format!("{text:?} has more digits than {data_type} has")));
    }
    let readable = readable(data_type);
    let times = match ticks {
        Ticks::Taken => times_or_ticks(texts, &readable)?,
        Ticks::Refused => cast_with_options(texts, &readable, &STRICT)?,
    };
    cast_with_options(&times, data_type, &STRICT)
}

/// Arrow knows zones by their exact name.
fn readable(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, Some(zone)) if zone.eq_ignore_ascii_case("utc") => {
            DataType::Timestamp(*unit, Some("+00:00".into()))
        }
        other => other.clone(),
    }
}

fn times_or_ticks(texts: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let times = cast_with_options(texts, data_type, &LENIENT)?;
    if times.null_count() == texts.null_count() {
        return Ok(times);
    }
    let is_time = arrow_array::BooleanArray::from_iter((0..times.len()).map(|row| Some(times.is_valid(row))));
    let numbers = cast_with_options(texts, &DataType::Int64, &LENIENT)?;
    let both = zip(&is_time, &times, &cast_with_options(&numbers, data_type, &STRICT)?)?;
    match both.null_count() == texts.null_count() {
        true => Ok(both),
        false => Err(ArrowError::ParseError(format!("a value is not of type {data_type}"))),
    }
}

/// Whether a text says parts of a second, or of a day, that a type has no room for.
fn is_finer(text: &str, data_type: &DataType) -> bool {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let mut beyond = fraction.bytes().take_while(u8::is_ascii_digit).skip(digits(data_type));
    beyond.any(|digit| digit != b'0') || (*data_type == DataType::Date32 && has_time(text))
}

/// Digits behind the point of a second.
fn digits(data_type: &DataType) -> usize {
    use DataType::{Date64, Time32, Time64, Timestamp};
    match data_type {
        Timestamp(unit, _) | Time32(unit) | Time64(unit) => match unit {
            TimeUnit::Second => 0,
            TimeUnit::Millisecond => 3,
            TimeUnit::Microsecond => 6,
            TimeUnit::Nanosecond => 9,
        },
        Date64 => 3,
        _ => 0,
    }
}

/// Whether a date comes with a time other than midnight in UTC.
fn has_time(date: &str) -> bool {
    const LONGEST_DATE: usize = "2024-02-29".len();
    date.len() > LONGEST_DATE && Date64Type::parse(date).is_some_and(|time| time % MILLISECONDS_A_DAY != 0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::StringArray;
    use arrow_cast::display::{ArrayFormatter, FormatOptions};

    use super::*;

    /// A text as a value of the type, printed; none if it does not fit.
    fn read(text: &str, data_type: &DataType, ticks: Ticks) -> Option<String> {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("1970-01-01"), None, Some(text)]));
        let times = read_times(&texts.slice(1, 2), data_type, ticks).ok()?;
        assert_eq!((times.data_type(), times.is_null(0)), (data_type, true));
        Some(ArrayFormatter::try_new(&times, &FormatOptions::new()).unwrap().value(1).to_string())
    }

    fn timestamp(unit: TimeUnit) -> DataType {
        DataType::Timestamp(unit, None)
    }

    #[test]
    fn digits_that_a_unit_has_no_room_for_do_not_fit() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let check = |text: &str, data_type: DataType, expected: Option<&str>| {
            assert_eq!(read(text, &data_type, Ticks::Refused).as_deref(), expected, "{text} as {data_type}");
        };
        check("1970-01-01T00:00:01.000000Z", timestamp(Second), Some("1970-01-01T00:00:01"));
        check("1970-01-01T00:00:01.5", timestamp(Second), None);
        check("1970-01-01T00:00:00.123", timestamp(Millisecond), Some("1970-01-01T00:00:00.123"));
        check("1970-01-01T00:00:00.1230001", timestamp(Millisecond), None);
        check("1970-01-01T00:00:00.123456000", timestamp(Microsecond), Some("1970-01-01T00:00:00.123456"));
        check("1970-01-01T00:00:00.123456789Z", timestamp(Microsecond), None);
        check("1970-01-01T00:00:00.1234567890", timestamp(Nanosecond), Some("1970-01-01T00:00:00.123456789"));
        check("1970-01-01T00:00:00.1234567891", timestamp(Nanosecond), None);
        check("9999-12-31T23:59:59.999999", timestamp(Microsecond), Some("9999-12-31T23:59:59.999999"));
        check("00:00:01.5", DataType::Time32(Second), None);
        check("00:00:01.5 PM", DataType::Time32(Millisecond), None);
        check("12:00:01.5 PM", DataType::Time32(Millisecond), Some("12:00:01.500"));
        check("00:00:00.0000001", DataType::Time64(Microsecond), None);
    }

    #[test]
    fn a_date_with_a_time_is_no_date() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(read(text, &DataType::Date32, Ticks::Refused).as_deref(), expected, "{text}");
        };
        check("1970-01-02", Some("1970-01-02"));
        check("1970-01-02T00:00:00Z", Some("1970-01-02"));
        check("+12000-01-01", Some("+12000-01-01"));
        check("1970-01-02T01:00:00", None);
        check("1970-01-02T00:00:00.0001", None);
    }

    #[test]
    fn whole_numbers_are_times_where_a_format_has_numbers() {
        let seconds = timestamp(TimeUnit::Second);
        assert_eq!(read("1709208000", &seconds, Ticks::Taken).as_deref(), Some("2024-02-29T12:00:00"));
        assert_eq!(read("1709208000", &seconds, Ticks::Refused), None);
        assert_eq!(read("1.5", &seconds, Ticks::Taken), None);
        assert_eq!(read("1.5", &timestamp(TimeUnit::Microsecond), Ticks::Taken), None);
        assert_eq!(read("19782", &DataType::Date32, Ticks::Taken).as_deref(), Some("2024-02-29"));
    }

    #[test]
    fn zones_are_known_by_name_and_offset() {
        let zoned = |zone: &str| DataType::Timestamp(TimeUnit::Second, Some(zone.into()));
        let berlin = read("1970-01-01T01:00:00", &zoned("Europe/Berlin"), Ticks::Refused);
        assert_eq!(berlin.as_deref(), Some("1970-01-01T01:00:00+01:00"));
        let offset = read("1970-01-01T01:00:00Z", &zoned("+05:30"), Ticks::Refused);
        assert_eq!(offset.as_deref(), Some("1970-01-01T06:30:00+05:30"));
        assert!(is_zone("UTC") && is_zone("utc") && is_zone("-03:00") && !is_zone("Mars/Olympus"));
    }
}
