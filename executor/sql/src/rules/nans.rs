//! All that is not a number is the same. Processors give it other bits than texts and files do, and the engine compares bits.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, PrimitiveArray};
use arrow_schema::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TryCast, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::expressions::ExpressionRule;

/// Gives what arithmetic, functions and texts make that is not a number its one form. What comes from inputs has it.
pub(crate) const ONE_NAN: ExpressionRule = ExpressionRule::new("one_nan", with_one_nan);

fn with_one_nan(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_new = match &expr {
        // Both sides have one type, and the left one may be long.
        Expr::BinaryExpr(BinaryExpr { op, right, .. }) => is_arithmetic(*op) && right.get_type(schema)?.is_floating(),
        Expr::Negative(number) => number.get_type(schema)?.is_floating(),
        Expr::ScalarFunction(call) if call.func.inner().is::<Formed>() => false,
        Expr::ScalarFunction(_) => expr.get_type(schema)?.is_floating(),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            field.data_type().is_floating() && !expr.get_type(schema)?.is_numeric()
        }
        _ => false,
    };
    Ok(match (is_new, expr) {
        (false, other) => Transformed::no(other),
        // What is not a number stays so: its form counts at the end of a row of operators.
        (true, Expr::BinaryExpr(BinaryExpr { left, op, right })) => {
            let (left, right) = (Box::new(unformed(*left)), Box::new(unformed(*right)));
            Transformed::yes(formed(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        (true, other) => Transformed::yes(formed(other)),
    })
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo)
}

fn formed(expr: Expr) -> Expr {
    let function = Arc::new(ScalarUDF::from(Formed(Signature::any(1, Volatility::Immutable))));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr]))
}

fn unformed(expr: Expr) -> Expr {
    match expr {
        Expr::ScalarFunction(mut call) if call.func.inner().is::<Formed>() && call.args.len() == 1 => {
            call.args.remove(0)
        }
        other => other,
    }
}

/// Numbers with one form of what is none.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Formed(Signature);

impl ScalarUDFImpl for Formed {
    fn name(&self) -> &str {
        "one_nan"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(numbers)] => Ok(ColumnarValue::Array(one_nan(numbers))),
            [ColumnarValue::Scalar(number)] => {
                let number = ScalarValue::try_from_array(&one_nan(&number.to_array()?), 0)?;
                Ok(ColumnarValue::Scalar(number))
            }
            _ => internal_err!("one_nan takes one number"),
        }
    }
}

/// A column in which all that is not a number has one form. Those within nested values keep theirs.
pub(crate) fn one_nan(column: &ArrayRef) -> ArrayRef {
    fn formed<T: ArrowPrimitiveType>(column: &ArrayRef, nan: T::Native) -> ArrayRef {
        let numbers: &PrimitiveArray<T> = column.as_primitive();
        // Only what is not a number differs from itself.
        let is_other = |number: &T::Native| number.partial_cmp(number).is_none() && number.compare(nan).is_ne();
        match numbers.values().iter().any(is_other) {
            true => Arc::new(numbers.unary::<_, T>(|number| if is_other(&number) { nan } else { number })),
            false => column.clone(),
        }
    }
    match column.data_type() {
        DataType::Float16 => formed::<Float16Type>(column, <Float16Type as ArrowPrimitiveType>::Native::NAN),
        DataType::Float32 => formed::<Float32Type>(column, f32::NAN),
        DataType::Float64 => formed::<Float64Type>(column, f64::NAN),
        _ => column.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Float64Array;
    use arrow_schema::{Field, Schema};
    use datafusion::common::tree_node::TreeNode;
    use datafusion::prelude::{col, lit, sqrt};

    use super::*;

    #[test]
    fn a_row_of_operators_is_formed_once_at_its_end() {
        let fields = vec![Field::new("x", DataType::Float64, true), Field::new("n", DataType::Int64, true)];
        let schema = DFSchema::try_from(Schema::new(fields)).unwrap();
        let rewritten = |expr: Expr| expr.transform_up(|expr| with_one_nan(expr, &schema)).unwrap().data.to_string();
        assert_eq!(rewritten(col("x") / col("x") - lit(1.0)), "one_nan(x / x - Float64(1))");
        assert_eq!(rewritten((col("x") * lit(2.0)).gt(lit(1.0))), "one_nan(x * Float64(2)) > Float64(1)");
        assert_eq!(rewritten(sqrt(col("x"))), "one_nan(sqrt(x))");
        assert_eq!(rewritten(-col("x")), "one_nan((- x))");
        assert_eq!(rewritten(col("n") + lit(1_i64)), "n + Int64(1)");
    }

    #[test]
    fn all_that_is_no_number_gets_one_form_and_all_else_stays() {
        let other = f64::from_bits(0xfff8_0000_0000_0001);
        let numbers: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(other), Some(-0.0), None, Some(f64::INFINITY), Some(f64::NAN)]));
        let formed = one_nan(&numbers);
        let bits = |column: &ArrayRef| {
            let values: &Float64Array = column.as_primitive();
            values.iter().map(|number| number.map(f64::to_bits)).collect::<Vec<_>>()
        };
        let mut due = bits(&numbers);
        due[0] = Some(f64::NAN.to_bits());
        assert_eq!(bits(&formed), due);
        assert!(Arc::ptr_eq(&one_nan(&formed), &formed));
    }
}
