//! Parts of times and intervals, as `extract` and `date_part` give them in PostgreSQL: seconds with their fraction, and of a difference the hours
//! that are less than a day.

use std::sync::Arc;

use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, cast::AsArray};
use arrow_buffer::IntervalMonthDayNano;
use arrow_schema::{DataType, TimeUnit};
use datafusion::arrow::compute::cast;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::intervals::{is_span, justified};
use super::made::Made;
use super::units::per_second;

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// A part that the engine does not give as PostgreSQL does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Epoch,
    Second,
    Millisecond,
    /// Of an interval.
    Whole(Whole),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    Year,
    Quarter,
    Month,
    Day,
    Hour,
    Minute,
    Microsecond,
}

impl Part {
    fn named(name: &str) -> Option<Self> {
        Some(match name.trim_matches(['\'', '"']) {
            "epoch" => Self::Epoch,
            "second" | "seconds" | "sec" | "secs" | "s" => Self::Second,
            "millisecond" | "milliseconds" | "msecond" | "mseconds" | "msec" | "msecs" | "ms" => Self::Millisecond,
            "year" | "years" | "y" | "yr" | "yrs" => Self::Whole(Whole::Year),
            "quarter" | "qtr" => Self::Whole(Whole::Quarter),
            "month" | "months" | "mon" | "mons" => Self::Whole(Whole::Month),
            "day" | "days" | "d" => Self::Whole(Whole::Day),
            "hour" | "hours" | "h" | "hr" | "hrs" => Self::Whole(Whole::Hour),
            "minute" | "minutes" | "m" | "min" | "mins" => Self::Whole(Whole::Minute),
            "microsecond" | "microseconds" | "us" | "usec" | "usecs" | "usecond" | "useconds" => {
                Self::Whole(Whole::Microsecond)
            }
            _ => return None,
        })
    }

    fn name(self) -> String {
        format!("part_{self:?}").to_lowercase()
    }
}

/// A part of a time, a difference or an interval, which is what `extract` and `date_part` give.
///
/// # Errors
/// If it is no part of an interval.
pub(super) fn part(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let [Expr::Literal(name, _), of] = &call.args[..] else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
    let name = name.try_as_str().flatten().unwrap_or_default().to_lowercase();
    let kind = of.get_type(schema)?;
    let part = Part::named(&name);
    let is_time = matches!(
        kind,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_)
    );
    // The engine reads texts as times.
    let is_text = matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let apply = match part {
        Some(part) if is_span(&kind) => part,
        None if is_span(&kind) => {
            return plan_err!(
                "an interval has no `{name}`; it has epoch, year, quarter, month, day, hour, minute, second, millisecond and microsecond"
            );
        }
        Some(part @ (Part::Epoch | Part::Second | Part::Millisecond)) if is_time || is_text => part,
        _ => return Ok(Transformed::no(Expr::ScalarFunction(call))),
    };
    let result = match apply {
        Part::Whole(_) => DataType::Int32,
        _ => DataType::Float64,
    };
    let of = call.args.pop().unwrap_or_else(|| Expr::Literal(ScalarValue::Null, None));
    let of =
        if is_text { Expr::Cast(Cast::new(Box::new(of), DataType::Timestamp(TimeUnit::Nanosecond, None))) } else { of };
    let made = Made::call(apply.name(), vec![of], result, move |args| {
        let [of] = args else { return exec_err!("a part is taken of one value") };
        match is_span(of.data_type()) {
            true => of_intervals(apply, args),
            false => of_times(apply, of),
        }
    });
    Ok(Transformed::yes(made))
}

/// A number of parts of a second, as seconds.
fn seconds(value: i64, unit: i64) -> f64 {
    // A float has all digits of microseconds; nanoseconds are as near as two of them come.
    match unit {
        SECOND if value % 1000 == 0 => (value / 1000) as f64 / 1e6,
        SECOND => (value.div_euclid(SECOND)) as f64 + value.rem_euclid(SECOND) as f64 / 1e9,
        _ => value as f64 / unit as f64,
    }
}

fn of_times(part: Part, times: &ArrayRef) -> Result<ArrayRef> {
    let (times, unit) = match times.data_type() {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => (times.clone(), *unit),
        _ => (cast(times, &DataType::Timestamp(TimeUnit::Second, None))?, TimeUnit::Second),
    };
    let times = match times.data_type() {
        DataType::Time32(_) => cast(&cast(&times, &DataType::Int32)?, &DataType::Int64)?,
        _ => cast(&times, &DataType::Int64)?,
    };
    let size = per_second(unit);
    let times = times.as_primitive::<Int64Type>();
    let of_minute = |value: i64| value.rem_euclid(60 * size);
    let parts: Float64Array = match part {
        Part::Epoch => times.unary(|value| seconds(value, size)),
        Part::Millisecond => times.unary(|value| of_minute(value) as f64 * 1000.0 / size as f64),
        _ => times.unary(|value| of_minute(value) as f64 / size as f64),
    };
    Ok(Arc::new(parts))
}

fn of_intervals(part: Part, args: &[ArrayRef]) -> Result<ArrayRef> {
    // Differences in seconds may be longer than an interval of nanoseconds.
    if let ([spans], Part::Epoch) = (args, part)
        && let DataType::Duration(unit) = spans.data_type()
    {
        let values = cast(spans, &DataType::Int64)?;
        let size = per_second(*unit);
        return Ok(Arc::new(values.as_primitive::<Int64Type>().unary::<_, Float64Type>(|value| seconds(value, size))));
    }
    let spans = justified(args)?;
    let spans = spans.iter();
    Ok(match part {
        Part::Whole(whole) => {
            Arc::new(spans.map(|span| span.map(|span| whole_of(whole, span))).collect::<Int32Array>())
        }
        _ => Arc::new(spans.map(|span| span.map(|span| fraction_of(part, span))).collect::<Float64Array>()),
    })
}

fn whole_of(part: Whole, span: IntervalMonthDayNano) -> i32 {
    let of_minute = span.nanoseconds % (60 * SECOND);
    match part {
        Whole::Year => span.months / 12,
        Whole::Quarter => span.months % 12 / 3 + 1,
        Whole::Month => span.months % 12,
        Whole::Day => span.days,
        // An interval of nanoseconds has fewer hours than fit.
        Whole::Hour => (span.nanoseconds / (3600 * SECOND)) as i32,
        Whole::Minute => (span.nanoseconds / (60 * SECOND) % 60) as i32,
        Whole::Microsecond => (of_minute / 1000) as i32,
    }
}

fn fraction_of(part: Part, span: IntervalMonthDayNano) -> f64 {
    let of_minute = span.nanoseconds % (60 * SECOND);
    match part {
        // A year has 365.25 days here, as in PostgreSQL, a month 30.
        Part::Epoch => {
            let days = i64::from(span.months % 12) * 30 + i64::from(span.days);
            let whole = i64::from(span.months / 12) * 31_557_600 + days * 86_400 + span.nanoseconds / SECOND;
            match span.nanoseconds % SECOND {
                0 => whole as f64,
                rest if rest % 1000 == 0 => (whole as f64 * 1e6 + (rest / 1000) as f64) / 1e6,
                rest => whole as f64 + rest as f64 / 1e9,
            }
        }
        Part::Millisecond => of_minute as f64 / 1e6,
        _ => of_minute as f64 / 1e9,
    }
}
