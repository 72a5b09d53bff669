//! Times in seconds, milliseconds, microseconds and nanoseconds meet in the finest of their units. The engine takes a finer literal for one
//! of the column's unit, and looks through casts of columns for that.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, cast::AsArray};
use arrow_schema::{DataType, TimeUnit};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::{Cast, WindowFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, TryCast, WindowFrameBound, WindowFrameUnits};

use super::expressions::{ExpressionRule, constant};
use super::intervals::{interval_of, parsed, refused};
use super::made::Made;
use super::units::{finer, per_second};

/// Casts that change the unit of a time, as functions of their own: the engine compares through casts, and cuts the literal on the other side.
/// Casts of differences to intervals have days, as PostgreSQL's differences have.
pub(crate) const TIME_CASTS: ExpressionRule = ExpressionRule::new("time_casts", exact);

const UNITS: [TimeUnit; 4] = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];

fn exact(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (inner, field, tries) = match expr {
        Expr::Cast(Cast { expr, field }) => (expr, field, false),
        Expr::TryCast(TryCast { expr, field }) => (expr, field, true),
        other => return Ok(Transformed::no(other)),
    };
    let from = inner.get_type(schema)?;
    let made = match (&from, field.data_type()) {
        (DataType::Timestamp(one, _), DataType::Timestamp(unit, _)) if one != unit => {
            in_unit(*inner, field.data_type(), tries)
        }
        (DataType::Duration(_), DataType::Interval(_)) => interval_of(*inner, &from),
        _ if tries => return Ok(Transformed::no(Expr::TryCast(TryCast { expr: inner, field }))),
        _ => return Ok(Transformed::no(Expr::Cast(Cast { expr: inner, field }))),
    };
    Ok(Transformed::yes(made))
}

/// A timestamp in another unit. What does not fit is an error, or null if it is only tried; to a coarser unit it is rounded.
fn in_unit(expr: Expr, to: &DataType, tries: bool) -> Expr {
    let name = format!("{}to_timestamp_{to}", if tries { "try_" } else { "" });
    let result = to.clone();
    Made::call(name, vec![expr], to.clone(), move |args| {
        let [time] = args else { return internal_err!("a time is needed") };
        let options = CastOptions { safe: tries, ..Default::default() };
        Ok(cast_with_options(&rounded(time, &result)?, &result, &options)?)
    })
}

/// Times that lose no part of the other unit when they are cut: half of it goes up.
fn rounded(time: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let (DataType::Timestamp(one, _), DataType::Timestamp(unit, _)) = (time.data_type(), to) else {
        return Ok(time.clone());
    };
    let size = per_second(*one) / per_second(*unit);
    if size <= 1 {
        return Ok(time.clone());
    }
    let values = cast(time, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    let whole =
        values.unary::<_, Int64Type>(|value| value.saturating_add(size / 2).div_euclid(size).saturating_mul(size));
    Ok(cast(&whole, time.data_type())?)
}

/// The coarsest unit that has all of a number of nanoseconds.
fn unit_of_nanos(nanos: i64) -> TimeUnit {
    let whole = |unit: &TimeUnit| nanos % (1_000_000_000 / per_second(*unit)) == 0;
    UNITS.into_iter().find(whole).unwrap_or(TimeUnit::Nanosecond)
}

/// A literal, in the coarsest unit that has all of it.
fn exact_literal(value: &ScalarValue, zone: Option<&Arc<str>>) -> Option<(TimeUnit, ScalarValue)> {
    let cast = |unit| value.cast_to(&DataType::Timestamp(unit, zone.cloned())).ok().filter(|value| !value.is_null());
    let (finest, time) = UNITS.into_iter().rev().find_map(|unit| Some((unit, cast(unit)?)))?;
    let nanos = match time {
        ScalarValue::TimestampSecond(..) => 0,
        ScalarValue::TimestampMillisecond(Some(value), _) => value % 1_000 * 1_000_000,
        ScalarValue::TimestampMicrosecond(Some(value), _) => value % 1_000_000 * 1_000,
        ScalarValue::TimestampNanosecond(Some(value), _) => value % 1_000_000_000,
        _ => return None,
    };
    let unit = unit_of_nanos(nanos);
    let unit = if per_second(unit) > per_second(finest) { finest } else { unit };
    Some((unit, cast(unit)?))
}

/// What is compared needs no cast to a finer unit, which far times do not have. Says whether there was one.
///
/// # Errors
/// If the expression has no type.
pub(super) fn without_refinement(expr: &mut Expr, kind: &mut DataType, schema: &DFSchema) -> Result<bool> {
    let mut is_changed = false;
    while let Expr::Cast(Cast { expr: inner, .. }) = expr {
        let from = inner.get_type(schema)?;
        let (DataType::Timestamp(one, of), DataType::Timestamp(unit, to)) = (&from, &*kind) else { break };
        if of != to || per_second(*one) > per_second(*unit) {
            break;
        }
        *expr = std::mem::take(&mut **inner);
        *kind = from;
        is_changed = true;
    }
    Ok(is_changed)
}

/// Literals among expressions that are compared, in the unit of the columns, or in a finer one if they have more. Says whether something changed.
pub(super) fn with_exact_literals(exprs: &mut [&mut Expr], types: &[DataType]) -> bool {
    let is_literal = |expr: &Expr| !expr.any_column_refs();
    let columns = exprs.iter().zip(types).filter(|(expr, _)| !is_literal(expr));
    let units = columns.filter_map(|(_, kind)| match kind {
        DataType::Timestamp(unit, zone) => Some((*unit, zone.clone())),
        _ => None,
    });
    let Some((unit, zone)) = units.reduce(|one, other| (finer(one.0, other.0), one.1)) else { return false };
    let mut is_changed = false;
    for (expr, kind) in exprs.iter_mut().zip(types) {
        let zone = match kind {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => zone.as_ref(),
            DataType::Timestamp(_, own) => own.as_ref(),
            _ => continue,
        };
        if !is_literal(expr) {
            continue;
        }
        let Some(value) = constant(expr) else { continue };
        let Some((own, value)) = exact_literal(&value, zone) else { continue };
        let value = if per_second(own) < per_second(unit) {
            value.cast_to(&DataType::Timestamp(unit, zone.cloned())).unwrap_or(value)
        } else {
            value
        };
        **expr = Expr::Literal(value, None);
        is_changed = true;
    }
    is_changed
}

/// The unit that an interval needs: of the statement's own what they have, of others microseconds.
pub(super) fn unit_of_interval(interval: &Expr) -> TimeUnit {
    constant(interval)
        .as_ref()
        .and_then(parsed)
        .map_or(TimeUnit::Microsecond, |interval| unit_of_nanos(interval.nanoseconds))
}

/// A time to which something of a unit can be added without a loss. Dates are timestamps then, if it is more than days.
pub(super) fn for_unit(time: Expr, kind: &DataType, unit: TimeUnit, is_days: bool) -> Expr {
    match kind {
        DataType::Timestamp(own, zone) if per_second(*own) < per_second(unit) => {
            in_unit(time, &DataType::Timestamp(unit, zone.clone()), false)
        }
        DataType::Date32 | DataType::Date64 if !is_days => {
            let unit = finer(unit, TimeUnit::Microsecond);
            Expr::Cast(Cast::new(Box::new(time), DataType::Timestamp(unit, None)))
        }
        DataType::Time32(own) if per_second(*own) < per_second(unit) => {
            let unit = finer(unit, TimeUnit::Microsecond);
            Expr::Cast(Cast::new(Box::new(time), DataType::Time64(unit)))
        }
        _ => time,
    }
}

/// A window whose frame reaches as far as its bounds say: what it is ordered by is as fine as they are. Differences are ordered as numbers, since
/// the engine has no frames over them.
///
/// # Errors
/// If a frame reaches over differences.
pub(super) fn with_fine_frame(mut call: Box<WindowFunction>, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let frame = &call.params.window_frame;
    let (true, [by]) = (frame.units == WindowFrameUnits::Range, &mut call.params.order_by[..]) else {
        return Ok(Transformed::no(Expr::WindowFunction(call)));
    };
    let reach = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) if !value.is_null() => {
            Some(value.clone())
        }
        _ => None,
    };
    let reaches: Vec<ScalarValue> = [&frame.start_bound, &frame.end_bound].into_iter().filter_map(reach).collect();
    let kind = by.expr.get_type(schema)?;
    if matches!(kind, DataType::Duration(_)) {
        if !reaches.is_empty() {
            return refused("a frame with `RANGE`");
        }
        by.expr = Expr::Cast(Cast::new(Box::new(std::mem::take(&mut by.expr)), DataType::Int64));
        return Ok(Transformed::yes(Expr::WindowFunction(call)));
    }
    let reaches: Vec<_> = reaches.iter().filter_map(parsed).collect();
    if reaches.is_empty() {
        return Ok(Transformed::no(Expr::WindowFunction(call)));
    }
    let unit = reaches.iter().map(|reach| unit_of_nanos(reach.nanoseconds)).fold(TimeUnit::Second, finer);
    let is_days = reaches.iter().all(|reach| reach.nanoseconds == 0);
    by.expr = for_unit(std::mem::take(&mut by.expr), &kind, unit, is_days);
    Ok(Transformed::yes(Expr::WindowFunction(call)))
}
