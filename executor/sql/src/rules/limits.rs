//! Which rows a limit leaves is decided by their order, so there is one.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, Limit, LogicalPlan, Sort, SortExpr};
use datafusion::optimizer::AnalyzerRule;

/// Sorts the rows below a limit by all columns, where they come neither sorted nor straight from an input.
#[derive(Debug)]
pub(crate) struct OrderedLimits;

impl AnalyzerRule for OrderedLimits {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let ordered = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Limit(limit) if !is_ordered(&limit.input) => {
                let input = Arc::new(sorted(limit.input));
                Ok(Transformed::yes(LogicalPlan::Limit(Limit { input, ..limit })))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(ordered.data)
    }

    fn name(&self) -> &str {
        "ordered_limits"
    }
}

/// Whether rows come in an order that is always the same: sorted, or as they come from an input.
pub(crate) fn is_ordered(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) | LogicalPlan::TableScan(_) | LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => {
            true
        }
        LogicalPlan::Projection(projection) => is_ordered(&projection.input),
        LogicalPlan::Filter(filter) => is_ordered(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => is_ordered(&alias.input),
        LogicalPlan::Limit(limit) => is_ordered(&limit.input),
        LogicalPlan::Unnest(unnest) => is_ordered(&unnest.input),
        _ => false,
    }
}

/// Whether rows come in an order that the query gives them, and not as they come from an input.
pub(crate) fn has_own_order(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Projection(projection) => has_own_order(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_own_order(&alias.input),
        _ => false,
    }
}

fn sorted(input: Arc<LogicalPlan>) -> LogicalPlan {
    let columns = input.schema().iter().filter(|(_, field)| super::ties::is_sortable(field.data_type()));
    let by = |(table, field)| SortExpr::new(Expr::Column(Column::from((table, field))), true, false);
    let expr = columns.map(by).collect();
    LogicalPlan::Sort(Sort { expr, input, fetch: None })
}
