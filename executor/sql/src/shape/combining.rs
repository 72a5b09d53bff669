//! Aggregates of rows of one table that can be made of parts and put together in any order.

use datafusion::common::Result;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::{is_of_row, rows};

/// Functions whose parts can be put together.
const MERGED: [&str; 14] = [
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "count",
    "max",
    "min",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
];

/// Whether a plan is such an aggregate, with projections and filters over it.
///
/// # Errors
/// If the engine does not know its own columns.
pub(super) fn combines(plan: &LogicalPlan) -> Result<bool> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => combines(&alias.input),
        LogicalPlan::Filter(filter) => Ok(is_of_row(&filter.predicate)? && combines(&filter.input)?),
        LogicalPlan::Projection(projection) => {
            for expr in &projection.expr {
                if !is_of_row(expr)? {
                    return Ok(false);
                }
            }
            combines(&projection.input)
        }
        LogicalPlan::Aggregate(aggregate) => Ok(is_merged(aggregate) && rows::of(&aggregate.input)?.is_some()),
        _ => Ok(false),
    }
}

fn is_merged(aggregate: &Aggregate) -> bool {
    let is_plain = |expr: &Expr| !matches!(expr, Expr::GroupingSet(_));
    aggregate.group_expr.iter().all(is_plain) && aggregate.aggr_expr.iter().all(is_mergeable)
}

fn is_mergeable(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_mergeable(&alias.expr),
        Expr::AggregateFunction(call) => {
            MERGED.contains(&call.func.name()) && !call.params.distinct && call.params.order_by.is_empty()
        }
        _ => false,
    }
}
