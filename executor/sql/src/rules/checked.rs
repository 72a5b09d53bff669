//! Whole numbers that overflow are an error. The engine's own operators wrap around.

use std::hash::Hash;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use datafusion::arrow::compute::kernels::numeric;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_datafusion_err, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::scalar::ScalarValue;

/// Replaces the operators `+`, `-` and `*` of whole numbers by functions that check their results.
#[derive(Debug)]
pub(crate) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let checked = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let expr = expr.transform_up(|expr| checked(expr, &schema))?;
                Ok(expr.update_data(|expr| name.restore(expr)))
            })
        })?;
        checked.data.recompute_schema()
    }

    fn name(&self) -> &str {
        "checked_arithmetic"
    }
}

fn checked(expr: Expr, schema: &datafusion::common::DFSchema) -> Result<Transformed<Expr>> {
    let call = |operator, args| {
        let function = Arc::new(ScalarUDF::from(Checked::new(operator)));
        Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(function, args)))
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let is_whole = left.get_type(schema)?.is_integer() && right.get_type(schema)?.is_integer();
            match op {
                Operator::Plus | Operator::Minus | Operator::Multiply if is_whole => Ok(call(op, vec![*left, *right])),
                _ => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        Expr::Negative(number) if !matches!(*number, Expr::Literal(..)) => {
            let data_type = number.get_type(schema)?;
            match data_type.is_integer() {
                true => Ok(call(Operator::Minus, vec![lit(ScalarValue::new_zero(&data_type)?), *number])),
                false => Ok(Transformed::no(Expr::Negative(number))),
            }
        }
        other => Ok(Transformed::no(other)),
    }
}

/// An operator on two whole numbers of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    name: &'static str,
    signature: Signature,
}

impl Checked {
    fn new(operator: Operator) -> Self {
        let name = match operator {
            Operator::Plus => "checked_add",
            Operator::Minus => "checked_subtract",
            _ => "checked_multiply",
        };
        Self { operator, name, signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = &args.args[..] else { return internal_err!("{} takes two numbers", self.name) };
        let operation = match self.operator {
            Operator::Plus => numeric::add,
            Operator::Minus => numeric::sub,
            _ => numeric::mul,
        };
        let result: Result<ArrayRef, _> = match (left, right) {
            (ColumnarValue::Array(left), ColumnarValue::Array(right)) => operation(left, right),
            (ColumnarValue::Array(left), ColumnarValue::Scalar(right)) => operation(left, &right.to_scalar()?),
            (ColumnarValue::Scalar(left), ColumnarValue::Array(right)) => operation(&left.to_scalar()?, right),
            (ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)) => {
                let value = operation(&left.to_scalar()?, &right.to_scalar()?);
                let value = value.map_err(|error| exec_datafusion_err!("{error}"))?;
                return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&value, 0)?));
            }
        };
        Ok(ColumnarValue::Array(result.map_err(|error| exec_datafusion_err!("{error}"))?))
    }
}
