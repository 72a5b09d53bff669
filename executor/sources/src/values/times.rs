//! Dates and times, from text and from numbers. Arrow cuts digits that a type has no room for, and carries a second 60 over
//! into the next minute; here neither is a value of the type.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::timezone::Tz;
use arrow_array::types::{Date64Type, Int64Type};
use arrow_array::{ArrayRef, StringArray};
use arrow_cast::cast_with_options;
use arrow_cast::parse::Parser;
use arrow_schema::{ArrowError, DataType, TimeUnit};

use crate::values::strict::STRICT;

const SECONDS_A_DAY: i64 = 86_400;
const MILLISECONDS_A_DAY: i64 = 1000 * SECONDS_A_DAY;

/// The seconds of the years 1 to 9999, which sinks write as text. A number beyond them is a date that was written without
/// its dashes, or a count of another unit.
const CALENDAR: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Whether values of a type are read by [`read_times`].
pub(crate) fn is_time(data_type: &DataType) -> bool {
    use DataType::{Date32, Date64, Time32, Time64, Timestamp};
    matches!(data_type, Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..))
}

/// Whether a time zone is known. UTC is, in any case.
pub(crate) fn is_zone(zone: &str) -> bool {
    zone.eq_ignore_ascii_case("utc") || zone.parse::<Tz>().is_ok()
}

/// Reads texts as dates or times.
///
/// # Errors
/// A text is none, or is more exact than the type.
pub(crate) fn read_times(texts: &StringArray, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    if let Some(text) = texts.iter().flatten().find(|text| is_no_time(text, data_type)) {
        return Err(ArrowError::ParseError(format!("{text:?} is not a value of type {data_type}")));
    }
    let times = cast_with_options(texts, &readable(data_type), &STRICT)?;
    cast_with_options(&times, data_type, &STRICT)
}

/// Takes whole numbers for times, each counted in the type's own unit.
///
/// # Errors
/// A number is beyond the day of a time of day, or beyond the years 1 to 9999.
pub(crate) fn read_ticks(ticks: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let seconds = |tick: i64| tick.div_euclid(ticks_a_second(data_type));
    let is_value = |tick: i64| match data_type {
        DataType::Date32 => tick.checked_mul(SECONDS_A_DAY).is_some_and(|seconds| CALENDAR.contains(&seconds)),
        DataType::Time32(_) | DataType::Time64(_) => (0..SECONDS_A_DAY).contains(&seconds(tick)),
        _ => CALENDAR.contains(&seconds(tick)),
    };
    if let Some(tick) = ticks.as_primitive::<Int64Type>().iter().flatten().find(|tick| !is_value(*tick)) {
        return Err(ArrowError::ParseError(format!("{tick} is not a value of type {data_type}")));
    }
    // Arrow counts 32-bit times from 32-bit numbers.
    let narrow = match data_type {
        DataType::Date32 | DataType::Time32(_) => cast_with_options(ticks, &DataType::Int32, &STRICT)?,
        _ => Arc::clone(ticks),
    };
    cast_with_options(&narrow, data_type, &STRICT)
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

/// What Arrow would take, and make another value of: finer texts, seconds 60, and for a time of day a number.
fn is_no_time(text: &str, data_type: &DataType) -> bool {
    let is_time_of_day = matches!(data_type, DataType::Time32(_) | DataType::Time64(_));
    let is_second_60 = text.as_bytes().windows(3).any(|part| matches!(part, b":60"));
    is_second_60 || (is_time_of_day && !text.contains(':')) || is_finer(text, data_type)
}

fn ticks_a_second(data_type: &DataType) -> i64 {
    10i64.pow(digits(data_type) as u32)
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
    use arrow_array::{Array, Int64Array};
    use arrow_cast::display::{ArrayFormatter, FormatOptions};

    use super::*;

    /// A text as a value of the type, printed; none if it does not fit.
    fn read(text: &str, data_type: &DataType) -> Option<String> {
        let texts = StringArray::from(vec![Some("1970-01-01"), None, Some(text)]);
        printed(&read_times(&texts.slice(1, 2), data_type).ok()?, data_type)
    }

    /// The same of a number.
    fn count(tick: i64, data_type: &DataType) -> Option<String> {
        let ticks: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(tick)]));
        printed(&read_ticks(&ticks, data_type).ok()?, data_type)
    }

    fn printed(times: &ArrayRef, data_type: &DataType) -> Option<String> {
        assert_eq!((times.data_type(), times.is_null(0)), (data_type, true));
        Some(ArrayFormatter::try_new(times, &FormatOptions::new()).unwrap().value(1).to_string())
    }

    fn timestamp(unit: TimeUnit) -> DataType {
        DataType::Timestamp(unit, None)
    }

    #[test]
    fn digits_that_a_unit_has_no_room_for_do_not_fit() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let check = |text: &str, data_type: DataType, expected: Option<&str>| {
            assert_eq!(read(text, &data_type).as_deref(), expected, "{text} as {data_type}");
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
            assert_eq!(read(text, &DataType::Date32).as_deref(), expected, "{text}");
        };
        check("1970-01-02", Some("1970-01-02"));
        check("1970-01-02T00:00:00Z", Some("1970-01-02"));
        check("+12000-01-01", Some("+12000-01-01"));
        check("1970-01-02T01:00:00", None);
        check("1970-01-02T00:00:00.0001", None);
    }

    #[test]
    fn whole_numbers_are_counted_and_never_spelled() {
        let seconds = timestamp(TimeUnit::Second);
        assert_eq!(count(1_709_208_000, &seconds).as_deref(), Some("2024-02-29T12:00:00"));
        assert_eq!(read("1709208000", &seconds), None);
        assert_eq!(count(19782, &DataType::Date32).as_deref(), Some("2024-02-29"));
        assert_eq!(count(20_240_229, &DataType::Date32), None, "a day in the year 57385");
        assert_eq!(read("20240229", &DataType::Date32).as_deref(), Some("2024-02-29"));
        assert_eq!(count(19_700_102, &DataType::Date64).as_deref(), Some("1970-01-01T05:28:20.102"));
        assert_eq!(read("86399", &DataType::Time32(TimeUnit::Second)), None);
    }

    #[test]
    fn times_of_day_end_with_the_day_and_times_with_the_calendar() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let units = [(Second, 1), (Millisecond, 1000), (Microsecond, 1_000_000), (Nanosecond, 1_000_000_000)];
        for (unit, second) in units {
            let time = match unit {
                Second | Millisecond => DataType::Time32(unit),
                _ => DataType::Time64(unit),
            };
            assert!(count(0, &time).is_some() && count(SECONDS_A_DAY * second - 1, &time).is_some(), "{time}");
            assert!(count(-1, &time).is_none() && count(SECONDS_A_DAY * second, &time).is_none(), "{time}");
            assert_eq!(read("23:59:59", &time).as_deref(), Some("23:59:59"));
            for text in ["23:59:60", "12:00:60", "24:00:00", "12:60", "1", "-00:00:01", "noon"] {
                assert_eq!(read(text, &time), None, "{text} as {time}");
            }
            assert_eq!(read("2016-12-31T23:59:60Z", &timestamp(unit)), None);
        }
        for (data_type, ticks_a_day) in
            [(DataType::Date32, 1), (DataType::Date64, MILLISECONDS_A_DAY), (timestamp(Second), SECONDS_A_DAY)]
        {
            let (first, last) = (CALENDAR.start() / SECONDS_A_DAY, CALENDAR.end() / SECONDS_A_DAY);
            for day in [first, last] {
                let text = count(day * ticks_a_day, &data_type);
                assert!(text.is_some_and(|text| !text.contains("ERROR")), "{day} of {data_type}");
            }
            assert!(count((first - 1) * ticks_a_day, &data_type).is_none());
            assert!(count((last + 1) * ticks_a_day, &data_type).is_none());
            assert!(count(i64::MAX, &data_type).is_none());
        }
    }

    #[test]
    fn zones_are_known_by_name_and_offset() {
        let zoned = |zone: &str| DataType::Timestamp(TimeUnit::Second, Some(zone.into()));
        let berlin = read("1970-01-01T01:00:00", &zoned("Europe/Berlin"));
        assert_eq!(berlin.as_deref(), Some("1970-01-01T01:00:00+01:00"));
        let offset = read("1970-01-01T01:00:00Z", &zoned("+05:30"));
        assert_eq!(offset.as_deref(), Some("1970-01-01T06:30:00+05:30"));
        assert!(is_zone("UTC") && is_zone("utc") && is_zone("-03:00") && !is_zone("Mars/Olympus"));
    }
}
