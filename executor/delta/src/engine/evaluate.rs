//! Expressions over actions. What only columns of data need, such as arithmetic, no log has.

use std::sync::Arc;

use delta_kernel::expressions::{
    BinaryPredicateOp, ExpressionStructPatch, JunctionPredicateOp, Scalar, UnaryExpressionOp, VariadicExpressionOp,
};
use delta_kernel::schema::{DataType, SchemaRef, StructType};
use delta_kernel::{
    EngineData, EvaluationHandler, Expression, ExpressionEvaluator, ExpressionRef, KernelError, KernelResult,
    Predicate, PredicateEvaluator, PredicateRef,
};
use serde_json::{Map, Value};

use super::rows::{Rows, at, set};
use super::scalar::value_of;

/// The name of the column of a result that is no struct.
const OUTPUT: &str = "output";

/// Evaluates expressions row by row.
pub(crate) struct Evaluation;

impl EvaluationHandler for Evaluation {
    fn new_expression_evaluator(
        &self,
        input: SchemaRef,
        expression: ExpressionRef,
        output: DataType,
    ) -> KernelResult<Arc<dyn ExpressionEvaluator>> {
        Ok(Arc::new(RowEvaluator { input, expression, output }))
    }

    fn new_predicate_evaluator(
        &self,
        _: SchemaRef,
        predicate: PredicateRef,
    ) -> KernelResult<Arc<dyn PredicateEvaluator>> {
        Ok(Arc::new(RowPredicate { predicate }))
    }

    fn create_many(&self, schema: SchemaRef, rows: Vec<Vec<Scalar>>) -> KernelResult<Box<dyn EngineData>> {
        let row = |values: Vec<Scalar>| {
            if values.len() != schema.num_fields() {
                return Err(KernelError::generic(format!(
                    "{} values for {} fields",
                    values.len(),
                    schema.num_fields()
                )));
            }
            let mut row = Value::Object(Map::new());
            for (field, value) in schema.fields().zip(&values) {
                set(&mut row, field.name(), value_of(value)?);
            }
            Ok(row)
        };
        Ok(Box::new(Rows(rows.into_iter().map(row).collect::<KernelResult<_>>()?)))
    }
}

struct RowEvaluator {
    input: SchemaRef,
    expression: ExpressionRef,
    output: DataType,
}

impl ExpressionEvaluator for RowEvaluator {
    fn evaluate(&self, batch: &dyn EngineData) -> KernelResult<Box<dyn EngineData>> {
        let row = |row: &Value| {
            let value = expression(&self.expression, row, &self.input, Some(&self.output))?;
            Ok(match self.output {
                DataType::Struct(_) => value,
                _ => output(value),
            })
        };
        Ok(Box::new(Rows(Rows::of(batch)?.0.iter().map(row).collect::<KernelResult<_>>()?)))
    }
}

struct RowPredicate {
    predicate: PredicateRef,
}

impl PredicateEvaluator for RowPredicate {
    fn evaluate(&self, batch: &dyn EngineData) -> KernelResult<Box<dyn EngineData>> {
        let row = |row: &Value| Ok(output(predicate(&self.predicate, row)?.map_or(Value::Null, Value::Bool)));
        Ok(Box::new(Rows(Rows::of(batch)?.0.iter().map(row).collect::<KernelResult<_>>()?)))
    }
}

fn output(value: Value) -> Value {
    let mut row = Value::Object(Map::new());
    set(&mut row, OUTPUT, value);
    row
}

/// The value of an expression. `output` has the names of the fields of a struct that it makes.
fn expression(of: &Expression, row: &Value, input: &StructType, output: Option<&DataType>) -> KernelResult<Value> {
    let first = |exprs: &[Expression]| {
        for one in exprs {
            match expression(one, row, input, output)? {
                Value::Null => {}
                value => return Ok(value),
            }
        }
        Ok(Value::Null)
    };
    match of {
        Expression::Literal(scalar) => value_of(scalar),
        Expression::Column(path) => Ok(at(row, path).cloned().unwrap_or_default()),
        Expression::Predicate(of) => Ok(predicate(of, row)?.map_or(Value::Null, Value::Bool)),
        Expression::Struct(fields, kept) => {
            let is_kept = kept.as_ref().map_or(Ok(Value::Bool(true)), |kept| expression(kept, row, input, None))?;
            if is_kept != Value::Bool(true) {
                return Ok(Value::Null);
            }
            object(&fields.iter().map(|field| Made::By(field)).collect::<Vec<_>>(), row, input, output)
        }
        Expression::StructPatch(patch) => patched(patch, row, input, output),
        Expression::Unary(unary) => match unary.op {
            UnaryExpressionOp::ToJson => match expression(&unary.expr, row, input, None)? {
                Value::Null => Ok(Value::Null),
                value => Ok(Value::String(value.to_string())),
            },
        },
        Expression::Variadic(variadic) if variadic.op == VariadicExpressionOp::Coalesce => first(&variadic.exprs),
        other => Err(KernelError::unsupported(format!("the expression {other} over actions of a log"))),
    }
}

/// A field of a struct that is made.
enum Made<'e> {
    /// What an expression gives.
    By(&'e Expression),
    /// What the input has under a path.
    Kept(Vec<String>),
}

/// A struct of these fields, in the order of those of `output`.
fn object(fields: &[Made<'_>], row: &Value, input: &StructType, output: Option<&DataType>) -> KernelResult<Value> {
    let Some(DataType::Struct(output)) = output else {
        return Err(KernelError::generic("the fields of a struct have no names"));
    };
    if output.num_fields() != fields.len() {
        return Err(KernelError::generic(format!("{} fields for a struct of {}", fields.len(), output.num_fields())));
    }
    let mut object = Value::Object(Map::new());
    for (field, made) in output.fields().zip(fields) {
        let value = match made {
            Made::By(expr) => expression(expr, row, input, Some(field.data_type()))?,
            Made::Kept(path) => at(row, path).cloned().unwrap_or_default(),
        };
        set(&mut object, field.name(), value);
    }
    Ok(object)
}

/// A struct of the input with fields that are dropped, replaced and added.
fn patched(
    patch: &ExpressionStructPatch,
    row: &Value,
    input: &StructType,
    output: Option<&DataType>,
) -> KernelResult<Value> {
    let path = patch.input_path.as_deref().unwrap_or_default();
    let within = path.iter().try_fold(input, |within, name| match within.field(name)?.data_type() {
        DataType::Struct(inner) => Some(inner.as_ref()),
        _ => None,
    });
    let within = within.ok_or_else(|| KernelError::missing_column(path.join(".")))?;
    if !path.is_empty() && at(row, path).is_none() {
        return Ok(Value::Null);
    }
    let mut fields: Vec<Made<'_>> = patch.prepended_fields.iter().map(|field| Made::By(field)).collect();
    for field in within.fields() {
        let changes = patch.field_patches.get(field.name());
        if changes.is_none_or(|changes| changes.keep_input) {
            fields.push(Made::Kept(path.iter().chain([field.name()]).cloned().collect()));
        }
        fields.extend(changes.into_iter().flat_map(|changes| &changes.insertions).map(|field| Made::By(field)));
    }
    fields.extend(patch.appended_fields.iter().map(|field| Made::By(field)));
    object(&fields, row, input, output)
}

/// Whether a predicate holds; none where a null leaves it open.
fn predicate(of: &Predicate, row: &Value) -> KernelResult<Option<bool>> {
    let value = |expr: &Expression| match expr {
        Expression::Literal(scalar) => value_of(scalar),
        Expression::Column(path) => Ok(at(row, path).cloned().unwrap_or_default()),
        Expression::Predicate(of) => Ok(predicate(of, row)?.map_or(Value::Null, Value::Bool)),
        other => Err(KernelError::unsupported(format!("the expression {other} in a condition on actions of a log"))),
    };
    Ok(match of {
        Predicate::BooleanExpression(expr) => value(expr)?.as_bool(),
        Predicate::Not(of) => predicate(of, row)?.map(|holds| !holds),
        Predicate::Unary(unary) => Some(value(&unary.expr)?.is_null()),
        Predicate::Binary(binary) => {
            let (left, right) = (value(&binary.left)?, value(&binary.right)?);
            match binary.op {
                BinaryPredicateOp::Distinct => Some(left != right),
                BinaryPredicateOp::Equal => (!left.is_null() && !right.is_null()).then(|| left == right),
                _ => return Err(KernelError::unsupported(format!("the condition {of} on actions of a log"))),
            }
        }
        Predicate::Junction(junction) => {
            let decides = junction.op == JunctionPredicateOp::Or;
            let mut so_far = Some(!decides);
            for of in &junction.preds {
                match predicate(of, row)? {
                    Some(holds) if holds == decides => return Ok(Some(decides)),
                    Some(_) => {}
                    None => so_far = None,
                }
            }
            so_far
        }
        other => return Err(KernelError::unsupported(format!("the condition {other} on actions of a log"))),
    })
}

#[cfg(test)]
mod tests {
    use delta_kernel::expressions::{ColumnName, ExpressionStructPatchBuilder};
    use delta_kernel::schema::StructField;
    use serde_json::json;

    use super::*;

    fn schema(fields: &[(&str, DataType)]) -> StructType {
        StructType::try_new(fields.iter().map(|(name, of)| StructField::nullable(*name, of.clone()))).unwrap()
    }

    fn evaluated(expr: Expression, input: StructType, output: StructType, row: Value) -> Value {
        let evaluator = Evaluation.new_expression_evaluator(Arc::new(input), Arc::new(expr), output.into()).unwrap();
        let rows = evaluator.evaluate(&Rows(vec![row])).unwrap();
        Rows::of(&*rows).unwrap().0[0].clone()
    }

    #[test]
    fn structs_are_named_by_the_output_and_have_no_nulls() {
        let fields = [("x", DataType::LONG), ("y", DataType::STRING), ("z", DataType::LONG)];
        let made = Expression::struct_from([
            Expression::from(ColumnName::new(["add", "size"])),
            Expression::Literal(Scalar::String("a".to_owned())),
            Expression::from(ColumnName::new(["add", "none"])),
        ]);
        let row = evaluated(made, schema(&[]), schema(&fields), json!({"add": {"size": 7}}));
        assert_eq!(row, json!({"x": 7, "y": "a"}));
    }

    #[test]
    fn a_patch_keeps_drops_replaces_and_adds_in_order() {
        let input = schema(&[("a", DataType::LONG), ("b", DataType::LONG), ("c", DataType::LONG)]);
        let lit = |value: i64| Expression::Literal(Scalar::Long(value));
        let patch = ExpressionStructPatchBuilder::new();
        let patch = patch.prepend(lit(1)).insert_after("a", lit(2)).replace("b", lit(3)).drop("c").append(lit(4));
        let names = ["first", "a", "x", "bb", "last"].map(|name| (name, DataType::LONG));
        let patch = Expression::StructPatch(patch.build().unwrap());
        let row = evaluated(patch, input, schema(&names), json!({"a": 10, "b": 11, "c": 12}));
        assert_eq!(row, json!({"first": 1, "a": 10, "x": 2, "bb": 3, "last": 4}));
    }

    #[test]
    fn conditions_have_three_values() {
        let is_null = |name: &str| Predicate::is_null(Expression::from(ColumnName::new([name])));
        let open = || Predicate::BooleanExpression(Expression::from(ColumnName::new(["open"])));
        let row = json!({"set": 1});
        let holds = |of: Predicate| predicate(&of, &row).unwrap();
        assert_eq!(holds(is_null("set")), Some(false));
        assert_eq!(holds(Predicate::not(is_null("set"))), Some(true));
        assert_eq!(holds(Predicate::and(open(), is_null("set"))), Some(false));
        assert_eq!(holds(Predicate::and(open(), is_null("unset"))), None);
        assert_eq!(holds(Predicate::or(open(), is_null("unset"))), Some(true));
    }
}
