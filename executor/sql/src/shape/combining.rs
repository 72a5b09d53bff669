//! Aggregates that can be made of parts and put together in any order. A part is of the rows of one table's segment, with all rows of
//! the other tables.

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{self, Expr, LogicalPlan};

use super::{driver, is_of_row};
use crate::functions::Aggregate;

/// Whether a plan is such an aggregate of rows that a table drives, and what is over it depends on its result alone.
///
/// # Errors
/// If the engine does not know its own columns.
pub(super) fn combines(plan: &LogicalPlan, table: &str) -> Result<bool> {
    if let LogicalPlan::Aggregate(aggregate) = plan
        && is_merged(aggregate)?
        && driver::drives(&aggregate.input, table)
    {
        return Ok(true);
    }
    match plan.inputs()[..] {
        [input] => Ok(is_of_input(plan)? && combines(input, table)?),
        _ => Ok(false),
    }
}

/// Whether all that a node gives comes from its input: it has no queries within its expressions.
fn is_of_input(plan: &LogicalPlan) -> Result<bool> {
    let mut is_of_input = true;
    plan.apply_expressions(|expr| {
        is_of_input &= !has_query(expr)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(is_of_input)
}

fn has_query(expr: &Expr) -> Result<bool> {
    use datafusion::common::tree_node::TreeNode;
    expr.exists(|expr| {
        Ok(matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)))
    })
}

fn is_merged(aggregate: &logical_expr::Aggregate) -> Result<bool> {
    for expr in &aggregate.group_expr {
        if !is_of_row(expr)? {
            return Ok(false);
        }
    }
    for expr in &aggregate.aggr_expr {
        if has_query(expr)? || !is_mergeable(expr) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether parts of an aggregate function can be put together.
pub(super) fn is_mergeable(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_mergeable(&alias.expr),
        Expr::AggregateFunction(call) => {
            let needs = Aggregate::named(call.func.name());
            needs == Aggregate::Parts && !call.params.distinct && call.params.order_by.is_empty()
        }
        _ => false,
    }
}
