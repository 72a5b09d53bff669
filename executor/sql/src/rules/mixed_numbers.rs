//! Floats and decimals are compared, and put into one column, as floats. The engine makes decimals of floats, which most floats are too
//! large or too small for.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRewriter};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Case, InList, InSubquery, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::{NamePreserver, coerce_plan_expr_for_schema};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Between, BinaryExpr, Expr, ExprSchemable, Join, LogicalPlan, Operator, Projection, Subquery, Union,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;

use super::decimals::rounded;
use super::expressions::{compares, constant};
use super::written_numbers::with_decimals;
use super::{intervals, times};

/// Functions whose arguments get one type.
const OF_ONE_TYPE: [&str; 7] = ["coalesce", "nvl", "nvl2", "nullif", "greatest", "least", "make_array"];

/// How far a number of the statement may be from the decimal that is made of it, by its size: less than the last digit of a float.
const SAME: f64 = 1e-14;

/// Makes floats of decimals that meet floats, before the engine gives both one type. Numbers with a point that a statement itself has are decimals
/// there if they fit: `discount <= 0.06 + 0.01` is true of 0.07.
#[derive(Debug)]
pub(crate) struct MixedNumbers;

impl AnalyzerRule for MixedNumbers {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(coerced)?.data)
    }

    fn name(&self) -> &str {
        "mixed_numbers"
    }
}

/// A node with the types that the engine gives it. What is above it has to know them, so they are given from the inputs upwards.
fn coerced(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&node.inputs());
    let mut engine = TypeCoercionRewriter::new(&schema);
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| {
            let expr = times::mended(expr, &schema)?.transform_data(|expr| with_decimals(expr, &schema))?;
            expr.transform_data(|expr| with_floats(expr, &schema))?
                .transform_data(|expr| engine.f_up(expr))?
                .transform_data(|expr| rounded(expr, &schema))
        })?;
        Ok(expr.update_data(|expr| name.restore(expr)))
    })?
    .map_data(|node| match node {
        LogicalPlan::Join(join) => Ok(LogicalPlan::Join(with_floats_on(join)?)),
        LogicalPlan::Union(union) => Ok(LogicalPlan::Union(with_float_columns(union)?)),
        other => Ok(other),
    })?
    .map_data(|node| engine.coerce_plan(node))?
    .map_data(LogicalPlan::recompute_schema)?
    .map_data(|node| {
        intervals::check(&node)?;
        Ok(node)
    })
}

fn with_floats(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => pair(*left, schema, *right, schema)?
            .update_data(|(left, right)| {
                Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
            }),
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right }) if computes(op) => {
            let is_changed = to_floats(&mut [&mut *left, &mut *right], schema)?;
            changed(is_changed, Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::Between(Between { mut expr, negated, mut low, mut high }) => {
            let is_changed = to_floats(&mut [&mut *expr, &mut *low, &mut *high], schema)?;
            changed(is_changed, Expr::Between(Between { expr, negated, low, high }))
        }
        Expr::InList(InList { mut expr, mut list, negated }) => {
            let mut all: Vec<&mut Expr> = std::iter::once(&mut *expr).chain(&mut list).collect();
            let is_changed = to_floats(&mut all, schema)?;
            changed(is_changed, Expr::InList(InList { expr, list, negated }))
        }
        Expr::InSubquery(of) => in_subquery(of, schema)?,
        Expr::Case(case) => in_case(case, schema)?,
        Expr::ScalarFunction(ScalarFunction { func, mut args }) if OF_ONE_TYPE.contains(&func.name()) => {
            let is_changed = to_floats(&mut args.iter_mut().collect::<Vec<_>>(), schema)?;
            changed(is_changed, Expr::ScalarFunction(ScalarFunction { func, args }))
        }
        other => Transformed::no(other),
    })
}

fn changed<T>(is_changed: bool, data: T) -> Transformed<T> {
    if is_changed { Transformed::yes(data) } else { Transformed::no(data) }
}

fn computes(op: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo)
}

fn in_case(case: Case, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Case { mut expr, mut when_then_expr, mut else_expr } = case;
    let mut compared: Vec<&mut Expr> = Vec::new();
    let mut given: Vec<&mut Expr> = Vec::new();
    for (when, then) in &mut when_then_expr {
        compared.push(when);
        given.push(then);
    }
    compared.extend(expr.as_deref_mut());
    given.extend(else_expr.as_deref_mut());
    let is_changed = to_floats(&mut compared, schema)? | to_floats(&mut given, schema)?;
    Ok(changed(is_changed, Expr::Case(Case { expr, when_then_expr, else_expr })))
}

fn in_subquery(of: InSubquery, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let InSubquery { expr, subquery, negated } = of;
    let plan = &subquery.subquery;
    let types = (expr.get_type(schema)?, plan.schema().field(0).data_type().clone());
    let columns = [Number::of(&expr, &types.0), Number { written: written(plan, 0), data_type: &types.1 }];
    let Some(float) = float_for(&columns) else {
        return Ok(Transformed::no(Expr::InSubquery(InSubquery { expr, subquery, negated })));
    };
    let expr = if types.0.is_decimal() { Box::new(expr.cast_to(&float, schema)?) } else { expr };
    let plan = if types.1.is_decimal() { with_types(plan, &[Some(float)])? } else { plan.clone() };
    let subquery = Subquery { subquery: plan, ..subquery };
    Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })))
}

/// What a join compares by `=`.
fn with_floats_on(mut join: Join) -> Result<Join> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let pairs = join.on.into_iter().map(|(one, other)| Ok(pair(one, left, other, right)?.data));
    join.on = pairs.collect::<Result<Vec<_>>>()?;
    Ok(join)
}

/// Two expressions that are compared, each of columns of its own.
fn pair(mut left: Expr, of: &DFSchema, mut right: Expr, of_right: &DFSchema) -> Result<Transformed<(Expr, Expr)>> {
    let types = (left.get_type(of)?, right.get_type(of_right)?);
    let Some(float) = float_for(&[Number::of(&left, &types.0), Number::of(&right, &types.1)]) else {
        return Ok(Transformed::no((left, right)));
    };
    if types.0.is_decimal() {
        left = left.cast_to(&float, of)?;
    } else {
        right = right.cast_to(&float, of_right)?;
    }
    Ok(Transformed::yes((left, right)))
}

/// The types of a union's columns are those of its inputs as they are by now, not as they were when the text was read.
fn with_float_columns(union: Union) -> Result<Union> {
    let width = union.schema.fields().len();
    let float_of = |at: usize| {
        let types: Option<Vec<_>> =
            union.inputs.iter().map(|input| input.schema().fields().get(at).map(|field| (input, field))).collect();
        let numbers: Vec<_> = types?
            .into_iter()
            .map(|(input, field)| Number { written: written(input, at), data_type: field.data_type() })
            .collect();
        float_for(&numbers)
    };
    let floats: Vec<Option<DataType>> = (0..width).map(float_of).collect();
    let inputs = union.inputs.iter().map(|input| with_types(input, &floats)).collect::<Result<Vec<_>>>()?;
    Union::try_new_with_loose_types(inputs)
}

/// A plan whose decimals are the floats that are said for their columns.
fn with_types(plan: &Arc<LogicalPlan>, floats: &[Option<DataType>]) -> Result<Arc<LogicalPlan>> {
    let schema = plan.schema();
    let mut is_changed = false;
    let fields = schema.iter().enumerate().map(|(at, (qualifier, field))| {
        let field = match floats.get(at) {
            Some(Some(float)) if field.data_type().is_decimal() => {
                is_changed = true;
                Arc::new(Field::clone(field).with_data_type(float.clone()))
            }
            _ => field.clone(),
        };
        (qualifier.cloned(), field)
    });
    let typed = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?;
    match is_changed {
        true => Ok(Arc::new(coerce_plan_expr_for_schema(LogicalPlan::clone(plan), &typed)?)),
        false => Ok(plan.clone()),
    }
}

/// The expression of a column, where it is computed just there.
fn written(plan: &LogicalPlan, at: usize) -> Option<&Expr> {
    match plan {
        LogicalPlan::Projection(Projection { expr, .. }) => expr.get(at),
        _ => None,
    }
}

/// Makes floats of decimals among expressions that get one type, if there are floats. Says whether it did.
fn to_floats(exprs: &mut [&mut Expr], schema: &DFSchema) -> Result<bool> {
    let types = exprs.iter().map(|expr| expr.get_type(schema)).collect::<Result<Vec<_>>>()?;
    let numbers: Vec<_> = exprs.iter().zip(&types).map(|(expr, data_type)| Number::of(expr, data_type)).collect();
    let Some(float) = float_for(&numbers) else { return Ok(false) };
    for (expr, data_type) in exprs.iter_mut().zip(&types) {
        if data_type.is_decimal() {
            **expr = std::mem::take(*expr).cast_to(&float, schema)?;
        }
    }
    Ok(true)
}

/// What gets one type with others.
struct Number<'e> {
    /// The expression, if it is known.
    written: Option<&'e Expr>,
    data_type: &'e DataType,
}

impl<'e> Number<'e> {
    fn of(written: &'e Expr, data_type: &'e DataType) -> Self {
        Self { written: Some(written), data_type }
    }

    /// Whether the engine's decimal of this float is the number that the statement says.
    fn is_decimal_of(&self, decimals: &[&DataType]) -> bool {
        let Some(value) = self.written.and_then(constant) else { return false };
        let Ok(ScalarValue::Float64(value)) = value.cast_to(&DataType::Float64) else { return false };
        let Some(value) = value else { return true };
        let is_same = |decimal: &&DataType| {
            let made = comparison_coercion(self.data_type, decimal).and_then(|made| {
                ScalarValue::Float64(Some(value)).cast_to(&made).and_then(|made| made.cast_to(&DataType::Float64)).ok()
            });
            matches!(made, Some(ScalarValue::Float64(Some(made))) if (made - value).abs() <= SAME * value.abs())
        };
        decimals.iter().all(is_same)
    }
}

/// The float type for decimals among numbers that get one type; none if they stay what they are.
fn float_for(numbers: &[Number<'_>]) -> Option<DataType> {
    let decimals: Vec<_> = numbers.iter().map(|number| number.data_type).filter(|kind| kind.is_decimal()).collect();
    let floats: Vec<_> = numbers.iter().filter(|number| number.data_type.is_floating()).collect();
    if decimals.is_empty() || floats.iter().all(|number| number.is_decimal_of(&decimals)) {
        return None;
    }
    // A decimal that the statement itself has is no small one.
    let is_written = |number: &&Number<'_>| number.written.is_some_and(|expr| constant(expr).is_some());
    let is_small = floats.iter().all(|number| *number.data_type == DataType::Float32)
        && !numbers.iter().filter(|number| number.data_type.is_decimal()).any(|number| is_written(&number));
    Some(if is_small { DataType::Float32 } else { DataType::Float64 })
}

#[cfg(test)]
mod tests {
    use arrow_schema::Schema;
    use datafusion::prelude::{cast, col, lit};

    use super::*;

    #[test]
    fn decimals_become_floats_where_a_float_is_no_number_of_the_statement() {
        let fields = [("d", DataType::Decimal128(12, 2)), ("f", DataType::Float64), ("s", DataType::Float32)];
        let fields: Vec<_> = fields.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
        let schema = DFSchema::try_from(Schema::new(fields)).unwrap();
        let rewritten = |expr: Expr| with_floats(expr, &schema).unwrap().data.to_string();
        assert_eq!(rewritten(col("d").lt(col("f"))), "CAST(d AS Float64) < f");
        assert_eq!(rewritten(col("s").eq(col("d"))), "s = CAST(d AS Float32)");
        assert_eq!(rewritten(col("d").lt_eq(lit(0.06) + lit(0.01))), "d <= Float64(0.06) + Float64(0.01)");
        assert_eq!(rewritten(col("d").gt(lit(1e30))), "CAST(d AS Float64) > Float64(1000000000000000000000000000000)");
        assert_eq!(rewritten(col("d").gt(lit(1e-20))), "CAST(d AS Float64) > Float64(0.00000000000000000001)");
        assert_eq!(rewritten(col("d").gt(lit(f64::NAN))), "CAST(d AS Float64) > Float64(NaN)");
        let decimal = cast(lit(1_i64), DataType::Decimal128(3, 1));
        assert_eq!(
            rewritten(col("f").between(decimal.clone(), col("d"))),
            "f BETWEEN CAST(CAST(Int64(1) AS Decimal128(3, 1)) AS Float64) AND CAST(d AS Float64)"
        );
        assert_eq!(
            rewritten(col("d").in_list(vec![col("f"), lit(0.5)], false)),
            "CAST(d AS Float64) IN ([f, Float64(0.5)])"
        );
        assert_eq!(rewritten(col("d").in_list(vec![lit(0.5)], true)), "d NOT IN ([Float64(0.5)])");
        let written = || lit(ScalarValue::Decimal128(Some(11), 2, 1));
        assert_eq!(rewritten(col("d") * col("f")), "CAST(d AS Float64) * f");
        assert_eq!(rewritten(col("s") * written()), "s * CAST(Decimal128(1.1,2,1) AS Float64)");
        assert_eq!(rewritten(col("s").eq(written())), "s = CAST(Decimal128(1.1,2,1) AS Float64)");
        assert_eq!(rewritten(col("d") * written()), "d * Decimal128(1.1,2,1)");
    }
}
