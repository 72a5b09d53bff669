//! Minus zero is zero. The engine tells them apart where it compares values by their bits.

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, Case, InList, ScalarFunction, WindowFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, SortExpr, lit};

use super::expressions::ExpressionRule;

/// Functions that compare their arguments by their bits.
const COMPARING: [&str; 1] = ["nullif"];

/// Adds zero to floats that are compared so: minus zero is zero then, and all else stays what it is.
pub(crate) const ONE_ZERO: ExpressionRule = ExpressionRule::new("one_zero", with_one_zero);

fn with_one_zero(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let one = |expr| one_zero(expr, schema);
    let boxed = |expr: Box<Expr>| one(*expr).map(Box::new);
    let all = |exprs: Vec<Expr>| exprs.into_iter().map(one).collect::<Result<Vec<_>>>();
    let by = |SortExpr { expr, asc, nulls_first }| Ok(SortExpr { expr: one(expr)?, asc, nulls_first });
    Ok(Transformed::yes(match expr {
        Expr::InList(InList { expr, list, negated }) => {
            Expr::InList(InList { expr: boxed(expr)?, list: all(list)?, negated })
        }
        Expr::Case(Case { expr: Some(expr), when_then_expr, else_expr }) => {
            let branches = when_then_expr.into_iter().map(|(when, then)| Ok((boxed(when)?, then)));
            let when_then_expr = branches.collect::<Result<Vec<_>>>()?;
            Expr::Case(Case { expr: Some(boxed(expr)?), when_then_expr, else_expr })
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if COMPARING.contains(&func.name()) => {
            Expr::ScalarFunction(ScalarFunction { func, args: all(args)? })
        }
        Expr::AggregateFunction(AggregateFunction { func, mut params }) if params.distinct => {
            params.args = all(params.args)?;
            Expr::AggregateFunction(AggregateFunction { func, params })
        }
        Expr::WindowFunction(call) => {
            let WindowFunction { fun, mut params } = *call;
            params.partition_by = all(params.partition_by)?;
            params.order_by = params.order_by.into_iter().map(by).collect::<Result<Vec<_>>>()?;
            if params.distinct {
                params.args = all(params.args)?;
            }
            Expr::WindowFunction(Box::new(WindowFunction { fun, params }))
        }
        other => return Ok(Transformed::no(other)),
    }))
}

fn one_zero(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    let data_type = expr.get_type(schema)?;
    match data_type.is_floating() {
        true => Ok(expr + lit(ScalarValue::new_zero(&data_type)?)),
        false => Ok(expr),
    }
}
