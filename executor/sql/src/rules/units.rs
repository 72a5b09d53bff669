//! The units of times.

use arrow_schema::TimeUnit;

/// How many of a unit are a second.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// The finer of two units.
pub(super) fn finer(one: TimeUnit, other: TimeUnit) -> TimeUnit {
    if per_second(one) < per_second(other) { other } else { one }
}
