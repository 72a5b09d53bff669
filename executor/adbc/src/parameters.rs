//! Values that are bound to a query's parameters.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use flowc_planner::plan::BoundValue;

/// One row with a column for each value; none where there are no values.
pub fn parameters(values: &[BoundValue]) -> Option<RecordBatch> {
    let column = |value: &BoundValue| -> ArrayRef {
        match value {
            BoundValue::Text(text) => Arc::new(StringArray::from(vec![text.as_str()])),
            BoundValue::Integer(number) => Arc::new(Int64Array::from(vec![*number])),
            BoundValue::Number(bits) => Arc::new(Float64Array::from(vec![f64::from_bits(*bits)])),
            BoundValue::Boolean(flag) => Arc::new(BooleanArray::from(vec![*flag])),
        }
    };
    row(values.iter().map(column).collect())
}

/// A row of values, each in a column of its own; none where there are no values.
pub(crate) fn row(columns: Vec<ArrayRef>) -> Option<RecordBatch> {
    if columns.is_empty() {
        return None;
    }
    let field = |(number, column): (usize, &ArrayRef)| Field::new(number.to_string(), column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns).ok()
}
