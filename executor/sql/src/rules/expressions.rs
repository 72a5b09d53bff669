//! The expressions of a whole plan, rewritten one by one.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// Gives what takes an expression's place, with the columns that the expression may name.
type Rewrite = fn(Expr, &DFSchema) -> Result<Transformed<Expr>>;

/// A rule that rewrites every expression of a plan.
#[derive(Debug)]
pub(crate) struct ExpressionRule {
    name: &'static str,
    rewrite: Rewrite,
}

impl ExpressionRule {
    pub(super) const fn new(name: &'static str, rewrite: Rewrite) -> Self {
        Self { name, rewrite }
    }
}

impl AnalyzerRule for ExpressionRule {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        rewritten(plan, self.rewrite)
    }

    fn name(&self) -> &str {
        self.name
    }
}

/// Rewrites every expression of a plan, those of subqueries too, from its parts upwards. Columns of results keep their names.
fn rewritten(plan: LogicalPlan, rewrite: Rewrite) -> Result<LogicalPlan> {
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

/// Whether an operator compares two values.
pub(super) fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// The value of an expression of the statement's own values.
pub(super) fn constant(expr: &Expr) -> Option<ScalarValue> {
    let expr = expr.clone().unalias_nested().data;
    match expr {
        Expr::Literal(value, _) => Some(value),
        expr if expr.any_column_refs() => None,
        expr => match ExprSimplifier::new(Default::default()).simplify(expr) {
            Ok(Expr::Literal(value, _)) => Some(value),
            _ => None,
        },
    }
}
