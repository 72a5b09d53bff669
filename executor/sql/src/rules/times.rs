//! Times, dates and intervals where they meet, as in PostgreSQL: intervals are compared by their length, the coarser of two units becomes the
//! finer, dates with hours are timestamps. Done before the engine gives both sides one type.

use arrow_schema::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Case, InList, ScalarFunction};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, Operator};

use super::expressions::{compares, constant};
use super::intervals::{interval_of, is_span, length, parsed, refused};
use super::time_units::{for_unit, unit_of_interval, with_exact_literals, with_fine_frame, without_refinement};
use super::units::finer;
use super::zones::AT_TIME_ZONE;
use super::{time_parts, time_patterns, zones};

/// What takes an expression's place.
///
/// # Errors
/// That something is not offered, and what to write instead.
pub(super) fn mended(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) if compares(op) => {
            let is_changed = compared(&mut [&mut *left, &mut *right], schema)?;
            Ok(changed(is_changed, Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if matches!(op, Operator::Plus | Operator::Minus) => {
            moved(*left, op, *right, schema)
        }
        Expr::Between(Between { mut expr, negated, mut low, mut high }) => {
            let is_changed = compared(&mut [&mut *expr, &mut *low, &mut *high], schema)?;
            Ok(changed(is_changed, Expr::Between(Between { expr, negated, low, high })))
        }
        Expr::InList(InList { mut expr, mut list, negated }) => {
            let mut all: Vec<&mut Expr> = std::iter::once(&mut *expr).chain(&mut list).collect();
            let is_changed = compared(&mut all, schema)?;
            Ok(changed(is_changed, Expr::InList(InList { expr, list, negated })))
        }
        Expr::Case(Case { expr: Some(mut expr), mut when_then_expr, else_expr }) => {
            let whens = when_then_expr.iter_mut().map(|(when, _)| &mut **when);
            let mut all: Vec<&mut Expr> = std::iter::once(&mut *expr).chain(whens).collect();
            let is_changed = compared(&mut all, schema)?;
            Ok(changed(is_changed, Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr })))
        }
        Expr::WindowFunction(call) => {
            let by = call.params.order_by.iter().map(|by| &by.expr).chain(&call.params.partition_by);
            let is_extreme = ["min", "max"].contains(&call.fun.name());
            for expr in by.chain(call.params.args.iter().filter(|_| is_extreme || call.params.distinct)) {
                if matches!(expr.get_type(schema)?, DataType::Interval(_)) {
                    return refused("a window");
                }
            }
            with_fine_frame(call, schema)
        }
        Expr::InSubquery(of) => match of.expr.get_type(schema)? {
            DataType::Interval(_) => refused("`IN (SELECT ...)`"),
            _ => Ok(Transformed::no(Expr::InSubquery(of))),
        },
        Expr::ScalarFunction(call) => called(call, schema),
        other => Ok(Transformed::no(other)),
    }
}

fn changed(is_changed: bool, expr: Expr) -> Transformed<Expr> {
    if is_changed { Transformed::yes(expr) } else { Transformed::no(expr) }
}

/// Expressions that are compared with each other. Says whether something changed.
fn compared(exprs: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    let mut types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    if !types.iter().any(is_span) {
        let mut is_changed = false;
        for (expr, kind) in exprs.iter_mut().zip(&mut types) {
            is_changed |= without_refinement(expr, kind, schema)?;
        }
        return Ok(is_changed | with_exact_literals(exprs, &types));
    }
    let is_interval = |kind: &DataType| matches!(kind, DataType::Interval(_));
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    // Differences in one unit are numbers. Of other types the engine says that they are not compared.
    let is_one = types.windows(2).all(|pair| pair[0] == pair[1]) && !types.iter().any(is_interval);
    if is_one || !types.iter().all(|kind| is_span(kind) || is_text(kind) || kind.is_null()) {
        return Ok(false);
    }
    for (expr, kind) in exprs.iter_mut().zip(&types) {
        **expr = length(std::mem::take(*expr), kind);
    }
    Ok(true)
}

/// A time, a date or an interval and what is added to it or taken from it.
fn moved(left: Expr, op: Operator, right: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    use DataType::{Date32, Date64, Duration, Interval, Time32, Time64, Timestamp};
    let is_time = |kind: &DataType| matches!(kind, Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..));
    let both = |left, right| Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) });
    // The left side may be long: where the right one is a number, so is it.
    let of_right = right.get_type(schema)?;
    if !is_time(&of_right) && !is_span(&of_right) {
        return Ok(Transformed::no(both(left, right)));
    }
    let of_left = left.get_type(schema)?;
    let (left, right) = match (&of_left, &of_right) {
        (Duration(_), Interval(_)) => (interval_of(left, &of_left), right),
        (Interval(_), Duration(_)) => (left, interval_of(right, &of_right)),
        (time, span) if is_time(time) && is_span(span) => (reached(left, time, &right, span), right),
        (span, time) if is_time(time) && is_span(span) => {
            let right = reached(right, time, &left, span);
            (left, right)
        }
        _ => return Ok(Transformed::no(both(left, right))),
    };
    Ok(Transformed::yes(both(left, right)))
}

/// A time that is as fine as what is added to it.
fn reached(time: Expr, kind: &DataType, span: &Expr, of_span: &DataType) -> Expr {
    match of_span {
        DataType::Duration(unit) => for_unit(time, kind, *unit, false),
        _ => {
            let is_days = constant(span).as_ref().and_then(parsed).is_some_and(|interval| interval.nanoseconds == 0);
            for_unit(time, kind, unit_of_interval(span), is_days)
        }
    }
}

fn called(mut call: ScalarFunction, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match call.name() {
        AT_TIME_ZONE => {
            call.args.get(1).map_or(Ok(()), zones::check)?;
            Ok(Transformed::no(Expr::ScalarFunction(call)))
        }
        "date_part" => time_parts::part(call, schema),
        "to_char"
        | "to_date"
        | "to_timestamp"
        | "to_timestamp_seconds"
        | "to_timestamp_millis"
        | "to_timestamp_micros"
        | "to_timestamp_nanos"
        | "to_time"
        | "to_unixtime" => time_patterns::translated(call, schema),
        "date_bin" => {
            let (Some(stride), Some(time)) = (call.args.first(), call.args.get(1)) else {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            };
            let kind = time.get_type(schema)?;
            if !matches!(kind, DataType::Timestamp(..)) {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
            let mut unit = unit_of_interval(stride);
            if let Some(origin) = call.args.get(2)
                && let DataType::Timestamp(of_origin, _) = origin.get_type(schema)?
                && !origin_is_whole(origin, &kind)
            {
                unit = finer(unit, of_origin);
            }
            call.args[1] = for_unit(std::mem::take(&mut call.args[1]), &kind, unit, true);
            Ok(Transformed::yes(Expr::ScalarFunction(call)))
        }
        "nullif" => {
            let types = call.args.iter().map(|arg| arg.get_type(schema)).collect::<Result<Vec<_>>>()?;
            if types.iter().any(|kind| matches!(kind, DataType::Interval(_))) {
                return refused("`nullif`");
            }
            let mut all: Vec<&mut Expr> = call.args.iter_mut().collect();
            let is_changed = with_exact_literals(&mut all, &types);
            Ok(changed(is_changed, Expr::ScalarFunction(call)))
        }
        "greatest" | "least" => {
            for arg in &call.args {
                if matches!(arg.get_type(schema)?, DataType::Interval(_)) {
                    return refused("`greatest` and `least`");
                }
            }
            Ok(Transformed::no(Expr::ScalarFunction(call)))
        }
        _ => Ok(Transformed::no(Expr::ScalarFunction(call))),
    }
}

/// Whether an origin of the statement is one in the unit of the times.
fn origin_is_whole(origin: &Expr, kind: &DataType) -> bool {
    let Some(value) = constant(origin) else { return false };
    let there = value.cast_to(kind).and_then(|coarse| coarse.cast_to(&value.data_type()));
    there.is_ok_and(|back| back == value)
}

#[cfg(test)]
mod tests;
