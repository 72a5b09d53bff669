//! Small records, as they come from devices or shops.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

/// Milliseconds since 1970 of the first one.
const START: i64 = 1_760_000_000_000;

/// So many of them: a number, a score, a name of some 20 characters, a time.
pub(crate) fn entities(first: usize, count: usize) -> RecordBatch {
    let numbers = first as i64..(first + count) as i64;
    // Scores with all their digits, as they are computed.
    let score = |id: i64| (id as f64 * 0.618_033_988_749_895).fract() * 100.0;
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from_iter_values(numbers.clone()))),
        ("score", Arc::new(Float64Array::from_iter_values(numbers.clone().map(score)))),
        ("name", Arc::new(StringArray::from_iter_values(numbers.clone().map(|id| format!("customer {id:011}"))))),
        ("time", Arc::new(Int64Array::from_iter_values(numbers.map(|id| START + 250 * id)))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
