//! Whole numbers that overflow are an error. The engine's own operators wrap around.

use std::hash::Hash;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::DataType;
use datafusion::arrow::compute::kernels::numeric;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_datafusion_err, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use datafusion::scalar::ScalarValue;

use super::expressions::ExpressionRule;

/// Replaces the operators `+`, `-` and `*` of whole numbers by functions that check their results.
pub(crate) const CHECKED_ARITHMETIC: ExpressionRule = ExpressionRule::new("checked_arithmetic", checked);

fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            // The left side may be long: where the right one is no whole number, neither is it.
            let is_checked = matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && type_of(&right, schema)?.is_integer()
                && type_of(&left, schema)?.is_integer();
            match is_checked {
                true => Ok(Transformed::yes(then(*left, op, *right))),
                false => Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right }))),
            }
        }
        Expr::Negative(number) if !matches!(*number, Expr::Literal(..)) => {
            let data_type = type_of(&number, schema)?;
            match data_type.is_integer() {
                true => {
                    let zero = lit(ScalarValue::new_zero(&data_type)?);
                    Ok(Transformed::yes(then(zero, Operator::Minus, *number)))
                }
                false => Ok(Transformed::no(Expr::Negative(number))),
            }
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The type of an expression. Of a call of ours it is that of its first number: the engine would ask for the types and the names of all that
/// is below.
fn type_of(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.inner().is::<Checked>() => match args.first() {
            Some(first) => type_of(first, schema),
            None => expr.get_type(schema),
        },
        _ => expr.get_type(schema),
    }
}

/// An operator after those that the left side has already: `a + b - c` is one call. A call within a call for each operator would have the engine
/// plan a sum of n numbers in n³ steps: it asks for the type of each call, and for that makes the names of all calls below.
fn then(left: Expr, operator: Operator, right: Expr) -> Expr {
    let (mut operators, mut numbers) = match left {
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.inner().downcast_ref::<Checked>() {
            Some(checked) => (checked.operators.clone(), args),
            None => (Vec::new(), vec![Expr::ScalarFunction(ScalarFunction { func, args })]),
        },
        other => (Vec::new(), vec![other]),
    };
    operators.push(operator);
    numbers.push(right);
    let function = Arc::new(ScalarUDF::from(Checked::new(operators)));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, numbers))
}

/// Operators between whole numbers of one type, from left to right.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operators: Vec<Operator>,
    /// Says all of them: the engine takes expressions of one name for the same.
    name: String,
    signature: Signature,
}

impl Checked {
    fn new(operators: Vec<Operator>) -> Self {
        let name = match operators.as_slice() {
            [first, others @ ..] if others.iter().all(|operator| operator == first) => match first {
                Operator::Plus => "checked_add".to_owned(),
                Operator::Minus => "checked_subtract".to_owned(),
                _ => "checked_multiply".to_owned(),
            },
            _ => format!("checked_{}", operators.iter().map(Operator::to_string).collect::<String>()),
        };
        let signature = Signature::any(operators.len() + 1, Volatility::Immutable);
        Self { operators, name, signature }
    }
}

fn applied(operator: Operator, left: &ColumnarValue, right: &ColumnarValue) -> Result<ColumnarValue> {
    let operation = match operator {
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

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((first, others)) = args.args.split_first() else {
            return internal_err!("{} takes numbers", self.name);
        };
        let mut operations = self.operators.iter().zip(others);
        operations.try_fold(first.clone(), |left, (operator, right)| applied(*operator, &left, right))
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::{Field, Schema};
    use datafusion::common::tree_node::TreeNode;
    use datafusion::prelude::col;

    use super::*;

    #[test]
    fn operators_in_a_row_are_one_call_and_others_keep_their_order() {
        let schema = DFSchema::try_from(Schema::new(vec![Field::new("a", DataType::Int64, false)])).unwrap();
        let rewritten = |expr: Expr| expr.transform_up(|expr| checked(expr, &schema)).unwrap().data.to_string();
        assert_eq!(rewritten(col("a") + lit(1_i64) + lit(2_i64)), "checked_add(a, Int64(1), Int64(2))");
        assert_eq!(rewritten(col("a") + lit(1_i64) - lit(2_i64)), "checked_+-(a, Int64(1), Int64(2))");
        assert_eq!(
            rewritten(col("a") - (lit(1_i64) - lit(2_i64))),
            "checked_subtract(a, checked_subtract(Int64(1), Int64(2)))"
        );
        assert_eq!(
            rewritten(col("a") + lit(1_i64) * lit(2_i64)),
            "checked_add(a, checked_multiply(Int64(1), Int64(2)))"
        );
        assert_eq!(rewritten(-col("a") + col("a")), "checked_-+(Int64(0), a, a)");
        let divided = rewritten((col("a") + lit(1_i64)) / lit(2_i64) + lit(3_i64));
        assert_eq!(divided, "checked_add(checked_add(a, Int64(1)) / Int64(2), Int64(3))");
    }
}
