//! The expressions of a whole plan, rewritten one by one.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Rewrites every expression of a plan, those of subqueries too, from its parts upwards. `rewrite` gets the columns that the expression may
/// name. Columns of results keep their names.
pub(super) fn rewritten(
    plan: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| rewrite(expr, &schema))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    })?;
    rewritten.data.recompute_schema()
}
