//! Values that JSON lacks: numbers that are none.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_schema::DataType;

/// A value that JSON lacks.
#[derive(Debug, PartialEq, Eq)]
pub struct OddValue {
    /// The column that holds it, perhaps deep within.
    pub column: String,
    /// As text: `NaN`, `inf`.
    pub value: String,
}

/// The first such value of a batch, with its row.
pub(crate) fn find_odd(batch: &RecordBatch) -> Option<(usize, OddValue)> {
    let columns = batch.schema_ref().fields().iter().zip(batch.columns());
    let odd = columns.filter_map(|(field, column)| {
        let (row, value) = odd(column)?;
        Some((row, OddValue { column: field.name().clone(), value: value.to_string() }))
    });
    odd.min_by_key(|(row, _)| *row)
}

fn odd(array: &dyn Array) -> Option<(usize, f64)> {
    match array.data_type() {
        DataType::Float32 => odd_float::<Float32Type>(array.as_primitive()),
        DataType::Float64 => odd_float::<Float64Type>(array.as_primitive()),
        DataType::List(item) => nested(array, has_floats(item.data_type()), |row| array.as_list::<i32>().value(row)),
        DataType::LargeList(item) => {
            nested(array, has_floats(item.data_type()), |row| array.as_list::<i64>().value(row))
        }
        DataType::Struct(_) => {
            let odd = array.as_struct().columns().iter().filter_map(odd_child(array));
            odd.min_by_key(|(row, _)| *row)
        }
        _ => None,
    }
}

fn odd_float<T: ArrowPrimitiveType<Native: Into<f64>>>(array: &PrimitiveArray<T>) -> Option<(usize, f64)> {
    let is_odd = |(row, value): &(usize, f64)| !value.is_finite() && array.is_valid(*row);
    array.values().iter().map(|value| (*value).into()).enumerate().find(is_odd)
}

/// What lies in each row by itself, since rows that are null may hide anything.
fn nested<A: AsRef<dyn Array>>(array: &dyn Array, may: bool, value: impl Fn(usize) -> A) -> Option<(usize, f64)> {
    let rows = (0..array.len()).filter(|row| may && array.is_valid(*row));
    rows.filter_map(|row| Some((row, odd(value(row).as_ref())?.1))).next()
}

/// The same for a field of a structure.
fn odd_child<'a>(parent: &'a dyn Array) -> impl Fn(&'a arrow_array::ArrayRef) -> Option<(usize, f64)> {
    move |child| match parent.null_count() {
        0 => odd(child),
        _ => nested(parent, has_floats(child.data_type()), |row| child.slice(row, 1)),
    }
}

fn has_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => has_floats(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_floats(field.data_type())),
        other => other.is_floating(),
    }
}
