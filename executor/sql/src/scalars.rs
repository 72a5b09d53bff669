//! The engine's functions of lists, where they are others than PostgreSQL's of these names: they give whole numbers with a sign, find
//! numbers among numbers of other types, and leave out all that they are to leave out.

use std::sync::Arc;

use arrow_array::Array;
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// Functions that give places in lists, and numbers of items.
const COUNTS: [&str; 5] = ["array_length", "array_ndims", "array_position", "array_positions", "cardinality"];

/// Functions that take another's place, and the function that they are.
const MENDED: &[(&str, &str)] = &[
    ("array_append", "array_append"),
    ("array_has", "array_has"),
    ("array_length", "array_length"),
    ("array_ndims", "array_ndims"),
    ("array_position", "array_position"),
    ("array_positions", "array_positions"),
    ("array_remove", "array_remove_all"),
    ("array_remove_all", "array_remove_all"),
    ("array_remove_n", "array_remove_n"),
    ("array_replace", "array_replace_all"),
    ("array_replace_all", "array_replace_all"),
    ("array_replace_n", "array_replace_n"),
    ("cardinality", "cardinality"),
];

/// Functions that stand in the place of the engine's.
///
/// # Errors
/// If the engine does not have one of them.
pub(crate) fn functions(engine: &dyn FunctionRegistry) -> Result<Vec<ScalarUDF>> {
    let mended = MENDED.iter().map(|(name, of)| {
        let (named, inner) = (engine.udf(name)?, engine.udf(of)?);
        let signature = Signature::user_defined(inner.signature().volatility);
        Ok(ScalarUDF::from(Mended { name, aliases: named.aliases().to_vec(), inner, signature }))
    });
    let signum = engine.udf("signum")?;
    mended.chain([Ok(ScalarUDF::clone(&signum).with_aliases(["sign"]))]).collect()
}

/// A function of the engine by a name that may be another's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Mended {
    name: &'static str,
    aliases: Vec<String>,
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for Mended {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let types = of_one_type(types);
        let fields: Vec<FieldRef> = types.into_iter().map(|of| Arc::new(Field::new("value", of, true))).collect();
        let fields = fields_with_udf(&fields, self.inner.as_ref())?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.given(&self.inner.return_type(types)?))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        let to = self.given(field.data_type());
        Ok(Arc::new(Field::clone(&field).with_data_type(to)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.name.starts_with("array_remove") {
            check_removed(&args)?;
        }
        let to = args.return_field.data_type().clone();
        let scalars = args.args.iter().map(|value| match value {
            ColumnarValue::Scalar(value) => Some(value),
            ColumnarValue::Array(_) => None,
        });
        let scalars: Vec<_> = scalars.collect();
        let given = ReturnFieldArgs { arg_fields: &args.arg_fields, scalar_arguments: &scalars };
        let return_field = self.inner.return_field_from_args(given)?;
        let value = self.inner.invoke_with_args(ScalarFunctionArgs { return_field, ..args })?;
        if value.data_type() == to { Ok(value) } else { value.cast_to(&to, None) }
    }
}

impl Mended {
    /// The type of what is given, where the engine gives a type.
    fn given(&self, data_type: &DataType) -> DataType {
        if COUNTS.contains(&self.name) { signed(data_type) } else { data_type.clone() }
    }
}

/// The engine makes a null of a list from which nulls are to be removed.
fn check_removed(args: &ScalarFunctionArgs) -> Result<()> {
    let arrays = ColumnarValue::values_to_arrays(&args.args)?;
    match arrays.as_slice() {
        [lists, removed, ..] if (0..lists.len()).any(|row| lists.is_valid(row) && removed.is_null(row)) => {
            exec_err!("`array_remove` does not find NULL; put another value in its place before, with `array_replace`")
        }
        _ => Ok(()),
    }
}

/// Whole numbers without a sign are of no use as places in lists, and differences of them fail.
fn signed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::UInt64 => DataType::Int64,
        DataType::List(item) => DataType::List(Arc::new(Field::clone(item).with_data_type(signed(item.data_type())))),
        other => other.clone(),
    }
}

/// The first argument as a list of what the others are found in, and the others as what it has.
fn of_one_type(types: &[DataType]) -> Vec<DataType> {
    let [DataType::List(item), others @ ..] = types else { return types.to_vec() };
    let is_decimal_among = |one: &DataType, other: &DataType| one.is_decimal() && other.is_numeric() && one != other;
    let common = others.iter().try_fold(item.data_type().clone(), |common, other| match (&common, other) {
        (float, decimal) | (decimal, float) if float.is_floating() && decimal.is_decimal() => Some(DataType::Float64),
        (one, other) if is_decimal_among(one, other) || is_decimal_among(other, one) => comparison_coercion(one, other),
        _ => Some(common),
    });
    match common {
        Some(common) if common != *item.data_type() || others.iter().any(|other| is_decimal_among(other, &common)) => {
            let list = DataType::List(Arc::new(Field::clone(item).with_data_type(common.clone())));
            let others = others.iter().map(|other| if other.is_numeric() { common.clone() } else { other.clone() });
            std::iter::once(list).chain(others).collect()
        }
        _ => types.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_looked_for_among_numbers() {
        let list = |of: &DataType| DataType::List(Arc::new(Field::new_list_field(of.clone(), true)));
        let decimal = DataType::Decimal128(3, 2);
        for (of, element, is) in [
            (DataType::Float64, decimal.clone(), DataType::Float64),
            (decimal.clone(), DataType::Float64, DataType::Float64),
            (DataType::Decimal128(2, 1), decimal.clone(), DataType::Decimal128(3, 2)),
            (DataType::Int64, decimal.clone(), DataType::Decimal128(22, 2)),
        ] {
            assert_eq!(of_one_type(&[list(&of), element]), [list(&is), is], "{of}");
        }
        for types in [vec![list(&DataType::Utf8), decimal.clone()], vec![list(&decimal), decimal], vec![]] {
            assert_eq!(of_one_type(&types), types);
        }
    }

    #[test]
    fn places_in_lists_have_a_sign() {
        assert_eq!(signed(&DataType::UInt64), DataType::Int64);
        let list = |of: DataType| DataType::List(Arc::new(Field::new_list_field(of, true)));
        assert_eq!(signed(&list(DataType::UInt64)), list(DataType::Int64));
        assert_eq!(signed(&DataType::Utf8), DataType::Utf8);
    }
}
