//! `IN` with a subquery is true, false or unknown. The engine takes unknown for false wherever `IN` is not a condition by itself.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, when,
};
use datafusion::optimizer::AnalyzerRule;

/// Says when `IN` is unknown: where nothing is equal, and a value of the subquery is null; or the value is, and there is one to compare it
/// with.
#[derive(Debug)]
pub(crate) struct ThreeValues;

impl AnalyzerRule for ThreeValues {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let exact = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Filter(filter) => {
                let conditions = split_conjunction_owned(filter.predicate.clone());
                let exact = conditions.into_iter().map(|condition| condition_of(condition, &filter.input));
                let Some(predicate) = conjunction(exact.collect::<Result<Vec<_>>>()?) else {
                    return Ok(Transformed::no(LogicalPlan::Filter(filter)));
                };
                match predicate == filter.predicate {
                    true => Ok(Transformed::no(LogicalPlan::Filter(filter))),
                    false => Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?))),
                }
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(exact.data)
    }

    fn name(&self) -> &str {
        "three_values"
    }
}

/// A condition of a filter, of which only rows for which it is true are left.
fn condition_of(condition: Expr, rows: &LogicalPlan) -> Result<Expr> {
    let of = match &condition {
        Expr::Not(negated) => negated,
        condition => condition,
    };
    match of {
        // The engine joins by these, and knows what a null among the values means, if they are the same for all rows.
        Expr::InSubquery(of) if of.subquery.outer_ref_columns.is_empty() => Ok(condition),
        _ => if_true(condition, rows),
    }
}

/// An expression of which it matters only whether it is true.
fn if_true(expr: Expr, rows: &LogicalPlan) -> Result<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (if_true(*left, rows)?, if_true(*right, rows)?);
            Ok(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right))))
        }
        Expr::InSubquery(InSubquery { negated: false, .. }) => Ok(expr),
        other => Ok(other
            .transform_up(|expr| match expr {
                Expr::InSubquery(of) => exact(of, rows),
                other => Ok(Transformed::no(other)),
            })?
            .data),
    }
}

fn exact(of: InSubquery, rows: &LogicalPlan) -> Result<Transformed<Expr>> {
    let InSubquery { expr, subquery, negated } = of;
    // Whatever it is computed from, it is a column above the subquery.
    let value = Expr::Column(Column::from(subquery.subquery.schema().qualified_field(0)));
    let (value_may_miss, expr_may_miss) =
        (value.nullable(subquery.subquery.schema())?, expr.nullable(rows.schema()).unwrap_or(true));
    let is_there =
        |plan| Expr::Exists(Exists { subquery: Subquery { subquery: plan, ..subquery.clone() }, negated: false });
    let unknown = lit(ScalarValue::Boolean(None));
    let is_in = Expr::InSubquery(InSubquery { expr: expr.clone(), subquery: subquery.clone(), negated: false });
    let mut case = when(is_in, lit(true));
    if value_may_miss {
        let nulls = LogicalPlanBuilder::new_from_arc(subquery.subquery.clone()).filter(value.is_null())?.build()?;
        case = case.when(is_there(Arc::new(nulls)), unknown.clone());
    }
    if expr_may_miss {
        case = case.when((*expr).is_null().and(is_there(subquery.subquery.clone())), unknown);
    }
    let case = case.otherwise(lit(false))?;
    Ok(Transformed::yes(if negated { !case } else { case }))
}
