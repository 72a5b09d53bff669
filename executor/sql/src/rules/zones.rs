//! `AT TIME ZONE` as in PostgreSQL: an instant becomes the time on clocks there, the time on clocks there an instant.

use std::sync::Arc;

use arrow_array::timezone::Tz;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, cast::AsArray};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone};
use datafusion::arrow::compute::cast;
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{Expr, ScalarUDF};

use super::made::Made;
use super::units::per_second;

/// The function that `AT TIME ZONE` is. A statement has no such name.
pub(crate) const AT_TIME_ZONE: &str = "AT TIME ZONE";
/// The zone that Arrow has of instants that `AT TIME ZONE` gives.
const UTC: &str = "+00:00";
/// Seconds before a clock is put on in which no other change is made to it.
const BEFORE: i64 = 86_400;

/// `time AT TIME ZONE zone`.
pub(crate) fn at_time_zone() -> ScalarUDF {
    ScalarUDF::clone(&Made::function(AT_TIME_ZONE, 2, returned, |args| {
        let [times, zones] = args else { return exec_err!("`AT TIME ZONE` takes a time and a zone") };
        let zones = cast(zones, &DataType::Utf8)?;
        moved(times, zones.as_string::<i32>().iter())
    }))
}

/// Checks a zone that the statement itself has.
///
/// # Errors
/// If there is no such zone.
pub(super) fn check(zone: &Expr) -> Result<()> {
    match zone {
        Expr::Literal(value, _) => value.try_as_str().flatten().map_or(Ok(()), |name| named(name).map(|_| ())),
        _ => Ok(()),
    }
}

fn returned(types: &[DataType]) -> Result<DataType> {
    match types {
        [time, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View] => match time {
            DataType::Timestamp(unit, None) => Ok(DataType::Timestamp(*unit, Some(UTC.into()))),
            DataType::Timestamp(unit, Some(_)) => Ok(DataType::Timestamp(*unit, None)),
            DataType::Date32 | DataType::Date64 => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
            _ => plan_err!(
                "`AT TIME ZONE` takes a timestamp; write `CAST(... AS TIMESTAMP)`, or `CAST(... AS TIMESTAMPTZ)`"
            ),
        },
        _ => plan_err!("`AT TIME ZONE` takes the name of a zone, such as `Europe/Rome`"),
    }
}

fn moved<'a>(times: &ArrayRef, zones: impl Iterator<Item = Option<&'a str>>) -> Result<ArrayRef> {
    let (unit, is_instant) = match times.data_type() {
        DataType::Timestamp(unit, zone) => (*unit, zone.is_some()),
        _ => (TimeUnit::Microsecond, true),
    };
    // Of dates it is the midnight in UTC.
    let kind = match times.data_type() {
        DataType::Timestamp(unit, zone) => DataType::Timestamp(*unit, zone.clone()),
        _ => DataType::Timestamp(unit, None),
    };
    let values = cast(&cast(times, &kind)?, &DataType::Int64)?;
    let mut known: Option<(&str, Tz)> = None;
    let moved = values.as_primitive::<Int64Type>().iter().zip(zones).map(|pair| {
        let (Some(value), Some(name)) = pair else { return Ok(None) };
        let zone = match known {
            Some((of, zone)) if of == name => zone,
            _ => named(name)?,
        };
        known = Some((name, zone));
        let size = per_second(unit);
        let seconds = value.div_euclid(size);
        let offset = match is_instant {
            true => offset_at(&zone, seconds)?,
            false => -offset_of_clock(&zone, seconds)?,
        };
        let moved = i64::from(offset).checked_mul(size).and_then(|offset| value.checked_add(offset));
        moved.map(Some).ok_or_else(|| exec_datafusion_err!("a time is too far away for a zone"))
    });
    let moved: Int64Array = moved.collect::<Result<_>>()?;
    let result: ArrayRef = Arc::new(moved);
    let to = DataType::Timestamp(unit, (!is_instant).then(|| UTC.into()));
    Ok(cast(&result, &to)?)
}

/// Offsets have another sign in PostgreSQL than in all other places, so only none is taken.
fn named(name: &str) -> Result<Tz> {
    if name.starts_with(['+', '-']) && name.chars().any(|digit| ('1'..='9').contains(&digit)) {
        return exec_err!(
            "`{name}` is no name of a time zone, and offsets may be meant in two ways; name one, such as `Europe/Rome`, or add an interval"
        );
    }
    name.parse().map_err(|_| exec_datafusion_err!("there is no time zone `{name}`; name one, such as `Europe/Rome`"))
}

fn time(seconds: i64) -> Result<NaiveDateTime> {
    let time = DateTime::from_timestamp(seconds, 0).map(|time| time.naive_utc());
    time.ok_or_else(|| exec_datafusion_err!("a time is too far away for a zone"))
}

/// By how many seconds clocks are ahead of UTC at an instant.
fn offset_at(zone: &Tz, seconds: i64) -> Result<i32> {
    Ok(zone.offset_from_utc_datetime(&time(seconds)?).fix().local_minus_utc())
}

/// By how many seconds clocks are ahead that show a time. A time that clocks skip is one of the clock before, which was not put on yet; of one
/// that they show twice it is the second.
fn offset_of_clock(zone: &Tz, seconds: i64) -> Result<i32> {
    let shown = time(seconds)?;
    match zone.offset_from_local_datetime(&shown) {
        MappedLocalTime::Single(offset) => Ok(offset.fix().local_minus_utc()),
        MappedLocalTime::Ambiguous(one, other) => Ok(one.fix().local_minus_utc().min(other.fix().local_minus_utc())),
        MappedLocalTime::None => {
            let before = shown.checked_sub_signed(TimeDelta::seconds(BEFORE)).unwrap_or(shown);
            Ok(zone.offset_from_utc_datetime(&before).fix().local_minus_utc())
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::TimestampSecondArray;

    use super::*;

    /// What clocks in Rome and instants are to each other, in seconds.
    fn there(seconds: i64, is_instant: bool) -> i64 {
        let times = TimestampSecondArray::from(vec![seconds]).with_timezone_opt(is_instant.then_some("UTC"));
        let times: ArrayRef = Arc::new(times);
        let moved = moved(&times, std::iter::once(Some("Europe/Rome"))).unwrap();
        cast(&moved, &DataType::Int64).unwrap().as_primitive::<Int64Type>().value(0)
    }

    #[test]
    fn skipped_and_doubled_hours_are_those_of_postgresql() {
        let shown = |text: &str| text.parse::<NaiveDateTime>().unwrap().and_utc().timestamp();
        for (clock, instant, again) in [
            ("2024-01-15T10:00:00", "2024-01-15T09:00:00", "2024-01-15T10:00:00"),
            ("2024-07-15T10:00:00", "2024-07-15T08:00:00", "2024-07-15T10:00:00"),
            ("2024-03-31T01:59:59", "2024-03-31T00:59:59", "2024-03-31T01:59:59"),
            ("2024-03-31T02:30:00", "2024-03-31T01:30:00", "2024-03-31T03:30:00"),
            ("2024-03-31T03:00:00", "2024-03-31T01:00:00", "2024-03-31T03:00:00"),
            ("2024-10-27T02:30:00", "2024-10-27T01:30:00", "2024-10-27T02:30:00"),
            ("2024-10-27T03:00:00", "2024-10-27T02:00:00", "2024-10-27T03:00:00"),
        ] {
            assert_eq!(there(shown(clock), false), shown(instant), "{clock}");
            assert_eq!(there(shown(instant), true), shown(again), "{clock}");
        }
    }

    #[test]
    fn offsets_and_what_is_no_zone_are_refused() {
        assert!(named("Europe/Rome").is_ok() && named("UTC").is_ok() && named("+00:00").is_ok());
        assert!(named("+02:00").unwrap_err().to_string().contains("two ways"));
        assert!(named("Europe/Rom").unwrap_err().to_string().contains("no time zone"));
    }
}
