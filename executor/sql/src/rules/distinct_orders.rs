//! Distinct values of a dictionary are ordered by what is made of them, which the engine asks for at run time.

use arrow_schema::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};

use super::expressions::ExpressionRule;

/// Orders by the argument where that is a cast of what is ordered by, from a dictionary to its values.
pub(crate) const DISTINCT_ORDERS: ExpressionRule = ExpressionRule::new("distinct_orders", of_arguments);

fn of_arguments(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::AggregateFunction(AggregateFunction { func, mut params }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let mut is_changed = false;
    if params.distinct {
        for sort in &mut params.order_by {
            let is_dictionary = matches!(sort.expr.get_type(schema)?, DataType::Dictionary(..));
            let is_cast = |argument: &&Expr| matches!(argument, Expr::Cast(Cast { expr, .. }) if **expr == sort.expr);
            if let Some(argument) = params.args.iter().find(is_cast).filter(|_| is_dictionary) {
                sort.expr = argument.clone();
                is_changed = true;
            }
        }
    }
    Ok(Transformed::new_transformed(Expr::AggregateFunction(AggregateFunction { func, params }), is_changed))
}
