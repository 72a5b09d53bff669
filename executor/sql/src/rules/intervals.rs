//! Intervals and differences of times, as PostgreSQL has them: compared by their length, in which a month has 30 days and a day 24 hours; the
//! hours of a difference are less than a day's.

use std::sync::Arc;

use arrow_array::types::{
    DurationMicrosecondType, DurationNanosecondType, Float64Type, Int64Type, IntervalMonthDayNanoType,
};
use arrow_array::{Array, ArrayRef, Decimal128Array, IntervalMonthDayNanoArray, PrimitiveArray, cast::AsArray};
use arrow_buffer::IntervalMonthDayNano;
use arrow_cast::parse::parse_interval_month_day_nano;
use arrow_schema::{DataType, IntervalUnit, TimeUnit};
use datafusion::arrow::compute::cast;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::made::Made;
use super::units::{finer, per_second};

/// Nanoseconds of a day.
const DAY: i64 = 86_400_000_000_000;
/// Days of a month, where months are compared with days.
const MONTH: i64 = 30;
/// The type of lengths: nanoseconds, with room for the longest interval.
const LENGTH: DataType = DataType::Decimal128(38, 0);
pub(super) const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// Whether a type says how long something takes.
pub(super) fn is_span(kind: &DataType) -> bool {
    matches!(kind, DataType::Duration(_) | DataType::Interval(_))
}

/// The interval that a literal is.
pub(super) fn parsed(value: &ScalarValue) -> Option<IntervalMonthDayNano> {
    match value {
        ScalarValue::Utf8(Some(text)) => parse_interval_month_day_nano(text).ok(),
        other => match other.cast_to(&INTERVAL).ok()? {
            ScalarValue::IntervalMonthDayNano(interval) => interval,
            _ => None,
        },
    }
}

/// A difference as an interval of days and of less than a day.
pub(super) fn interval_of(expr: Expr, from: &DataType) -> Expr {
    match from {
        DataType::Duration(_) => Made::call("interval_of", vec![expr], INTERVAL, |args| Ok(Arc::new(justified(args)?))),
        DataType::Interval(IntervalUnit::MonthDayNano) => expr,
        _ => Expr::Cast(Cast::new(Box::new(expr), INTERVAL)),
    }
}

fn one(args: &[ArrayRef]) -> Result<&ArrayRef> {
    args.first().ok_or_else(|| exec_datafusion_err!("a value is missing"))
}

/// Differences, or intervals, as intervals.
pub(super) fn justified(args: &[ArrayRef]) -> Result<IntervalMonthDayNanoArray> {
    let spans = one(args)?;
    let DataType::Duration(unit) = spans.data_type() else {
        return Ok(cast(spans, &INTERVAL)?.as_primitive::<IntervalMonthDayNanoType>().clone());
    };
    let (day, nanos) = (86_400 * per_second(*unit), 1_000_000_000 / per_second(*unit));
    let values = cast(spans, &DataType::Int64)?;
    let split = |value: i64| {
        let days = i32::try_from(value / day)
            .map_err(|_| exec_datafusion_err!("a difference has too many days for an interval"))?;
        Ok(IntervalMonthDayNano::new(0, days, value % day * nanos))
    };
    values.as_primitive::<Int64Type>().try_unary::<_, IntervalMonthDayNanoType, _>(split)
}

/// How long a difference or an interval is, in nanoseconds.
pub(super) fn length(expr: Expr, kind: &DataType) -> Expr {
    let span = if is_span(kind) { expr } else { interval_of(expr, kind) };
    Made::call("length_of_interval", vec![span], LENGTH, |args| {
        let spans = one(args)?;
        let lengths: Decimal128Array = match spans.data_type() {
            DataType::Duration(unit) => {
                let nanos = i128::from(1_000_000_000 / per_second(*unit));
                let values = cast(spans, &DataType::Int64)?;
                values.as_primitive::<Int64Type>().unary(|value| i128::from(value) * nanos)
            }
            _ => {
                let spans = cast(spans, &INTERVAL)?;
                spans.as_primitive::<IntervalMonthDayNanoType>().unary(|span| {
                    let days = i128::from(span.months) * i128::from(MONTH) + i128::from(span.days);
                    days * i128::from(DAY) + i128::from(span.nanoseconds)
                })
            }
        };
        Ok(Arc::new(lengths.with_precision_and_scale(38, 0)?))
    })
}

/// Refuses what compares whole intervals by their parts: groups, sorts, joins.
///
/// # Errors
/// That a node does, and what to write instead.
pub(super) fn check(node: &LogicalPlan) -> Result<()> {
    let mut found = None;
    let mut look = |expr: &Expr, schema: &DFSchema, what: &'static str| -> Result<()> {
        if matches!(expr.get_type(schema)?, DataType::Interval(_)) {
            found = Some(what);
        }
        Ok(())
    };
    match node {
        LogicalPlan::Sort(sort) => {
            sort.expr.iter().try_for_each(|by| look(&by.expr, sort.input.schema(), "`ORDER BY`"))?;
        }
        LogicalPlan::Aggregate(aggregate) => {
            let schema = aggregate.input.schema();
            aggregate.group_expr.iter().try_for_each(|expr| look(expr, schema, "`GROUP BY`"))?;
            for expr in &aggregate.aggr_expr {
                datafusion::common::tree_node::TreeNode::apply(expr, |expr| {
                    if let Expr::AggregateFunction(call) = expr {
                        let what = match call.func.name() {
                            "min" => Some("`min`"),
                            "max" => Some("`max`"),
                            "median" => Some("`median`"),
                            _ if call.params.distinct => Some("`DISTINCT`"),
                            _ => None,
                        };
                        if let Some(what) = what {
                            call.params.args.iter().try_for_each(|expr| look(expr, schema, what))?;
                        }
                        call.params.order_by.iter().try_for_each(|by| look(&by.expr, schema, "`ORDER BY`"))?;
                    }
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        LogicalPlan::Distinct(distinct) => {
            let input = distinct.input();
            let fields = input.schema().fields();
            if fields.iter().any(|field| matches!(field.data_type(), DataType::Interval(_))) {
                found = Some("`DISTINCT` or a set operation");
            }
        }
        LogicalPlan::Join(join) => {
            join.on.iter().try_for_each(|(left, _)| look(left, join.left.schema(), "`JOIN`"))?;
        }
        _ => {}
    }
    match found {
        Some(what) => refused(what),
        None => Ok(()),
    }
}

/// That something does not take intervals.
///
/// # Errors
/// Always.
pub(super) fn refused<T>(what: &str) -> Result<T> {
    plan_err!(
        "{what} of intervals is not offered: `1 day` and `24 hours` are two values of one length; take their length in seconds, `extract(epoch FROM ...)`"
    )
}

/// Plans operators that the engine does not have of intervals and differences: `*` and `/` with numbers, `+` and `-` of differences with dates,
/// comparisons of differences with texts.
#[derive(Debug)]
pub(crate) struct IntervalArithmetic;

impl ExprPlanner for IntervalArithmetic {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        Ok(match expr.op {
            BinaryOperator::Multiply if is_span(&left) && right.is_numeric() => {
                PlannerResult::Planned(scaled(expr.left, &left, expr.right, false))
            }
            BinaryOperator::Multiply if left.is_numeric() && is_span(&right) => {
                PlannerResult::Planned(scaled(expr.right, &right, expr.left, false))
            }
            BinaryOperator::Divide if is_span(&left) && right.is_numeric() => {
                PlannerResult::Planned(scaled(expr.left, &left, expr.right, true))
            }
            _ => PlannerResult::Original(RawBinaryExpr {
                left: beside(expr.left, &left, &right),
                right: beside(expr.right, &right, &left),
                op: expr.op,
            }),
        })
    }
}

/// What stands beside a difference: a date is a timestamp there, a text of the statement an interval.
fn beside(expr: Expr, kind: &DataType, other: &DataType) -> Expr {
    let to = match (kind, other, &expr) {
        (DataType::Date32 | DataType::Date64, DataType::Duration(unit), _) => {
            DataType::Timestamp(finer(*unit, TimeUnit::Microsecond), None)
        }
        (DataType::Utf8, DataType::Duration(_) | DataType::Interval(_), Expr::Literal(..)) => INTERVAL,
        _ => return expr,
    };
    Expr::Cast(Cast::new(Box::new(expr), to))
}

/// A number of intervals, or a part of one. Differences become as fine as microseconds.
fn scaled(span: Expr, kind: &DataType, by: Expr, divides: bool) -> Expr {
    let name = if divides { "interval_divided" } else { "interval_times" };
    let by = Expr::Cast(Cast::new(Box::new(by), DataType::Float64));
    let to = match kind {
        DataType::Duration(TimeUnit::Nanosecond) => kind.clone(),
        DataType::Duration(_) => DataType::Duration(TimeUnit::Microsecond),
        _ => INTERVAL,
    };
    let span = Expr::Cast(Cast::new(Box::new(span), to.clone()));
    Made::call(format!("{name}_{to}"), vec![span, by], to, move |args| {
        let [spans, factors] = args else { return exec_err!("an interval and a number are needed") };
        let factors = factors.as_primitive::<Float64Type>();
        match spans.data_type() {
            DataType::Duration(TimeUnit::Nanosecond) => durations::<DurationNanosecondType>(spans, factors, divides),
            DataType::Duration(_) => durations::<DurationMicrosecondType>(spans, factors, divides),
            _ => {
                let spans = spans.as_primitive::<IntervalMonthDayNanoType>();
                let pairs = spans.iter().zip(factors.iter());
                let made = pairs.map(|pair| match pair {
                    (Some(span), Some(factor)) => interval_by(span, factor, divides).map(Some),
                    _ => Ok(None),
                });
                Ok(Arc::new(made.collect::<Result<IntervalMonthDayNanoArray>>()?))
            }
        }
    })
}

fn durations<T>(spans: &ArrayRef, factors: &PrimitiveArray<Float64Type>, divides: bool) -> Result<ArrayRef>
where
    T: arrow_array::ArrowPrimitiveType<Native = i64>,
    PrimitiveArray<T>: FromIterator<Option<i64>>,
{
    let pairs = spans.as_primitive::<T>().iter().zip(factors.iter());
    let made = pairs.map(|pair| match pair {
        (Some(span), Some(factor)) => {
            // Products of whole numbers are whole; a float has no room for those of many digits.
            let exact =
                (factor.fract() == 0.0 && factor.abs() < 1e15 && !divides).then(|| span.checked_mul(factor as i64));
            match exact {
                Some(product) => product.map(Some).ok_or_else(too_long),
                None => whole(part(span as f64, factor, divides)?).map(Some),
            }
        }
        _ => Ok(None),
    });
    Ok(Arc::new(made.collect::<Result<PrimitiveArray<T>>>()?))
}

fn too_long() -> datafusion::common::DataFusionError {
    exec_datafusion_err!("an interval is too long")
}

fn part(value: f64, factor: f64, divides: bool) -> Result<f64> {
    match divides {
        true if factor == 0.0 => exec_err!("an interval is divided by zero"),
        true => Ok(value / factor),
        false => Ok(value * factor),
    }
}

/// The nearest whole number.
fn whole(value: f64) -> Result<i64> {
    let value = value.round_ties_even();
    if value.is_finite() && value.abs() < 9.2e18 { Ok(value as i64) } else { Err(too_long()) }
}

/// As PostgreSQL does it: fractions of months become days, those of days time.
fn interval_by(span: IntervalMonthDayNano, factor: f64, divides: bool) -> Result<IntervalMonthDayNano> {
    let small = |value: f64| i32::try_from(value as i64).map_err(|_| too_long());
    let part = |value: f64| part(value, factor, divides);
    let (months, days) = (part(f64::from(span.months))?, part(f64::from(span.days))?);
    if !months.is_finite() || !days.is_finite() {
        return Err(too_long());
    }
    let micro = |value: f64| (value * 1e6).round_ties_even() / 1e6;
    let more_days = micro((months - months.trunc()) * MONTH as f64);
    let seconds = micro((days - days.trunc() + more_days - more_days.trunc()) * 86_400.0);
    let over = (seconds / 86_400.0).trunc();
    let time = part(span.nanoseconds as f64)? + (seconds - over * 86_400.0) * 1e9;
    // Of an interval microseconds are taken, unless it has nanoseconds itself.
    let time = if span.nanoseconds % 1000 == 0 { (time / 1e3).round_ties_even() * 1e3 } else { time };
    let days = small(days)?.checked_add(small(more_days)?).and_then(|days| days.checked_add(over as i32));
    Ok(IntervalMonthDayNano::new(small(months)?, days.ok_or_else(too_long)?, whole(time)?))
}
