//! `dedup@1` run natively, by the rules of the host.

use flowc_sdk::arrow::array::{Float64Array, Int64Array, ListArray};
use flowc_sdk::arrow::datatypes::{Int8Type, Int64Type};
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;

/// Rows with a number, an identity and a version.
fn rows() -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        ("row", Arc::new(Int64Array::from_iter_values(0..7))),
        ("id", Arc::new(StringArray::from(vec![Some("a"), Some("b"), Some("a"), None, Some("a"), None, Some("b")]))),
        ("at", Arc::new(Float64Array::from(vec![Some(2.0), None, Some(1.0), Some(0.0), Some(2.0), Some(-0.0), None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// The numbers of the rows that stay, in order.
fn kept(config: Value) -> Vec<i64> {
    let staying = |segments: Vec<RecordBatch>| {
        let batch = testing::run::<Dedup>(&config, &[segments]).unwrap().remove(0);
        let mut rows = batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        rows.sort_unstable();
        rows
    };
    let whole = staying(vec![rows()]);
    assert_eq!(staying((0..7).map(|row| rows().slice(row, 1)).collect()), whole, "however rows are cut");
    whole
}

#[test]
fn the_first_or_the_last_row_of_a_key_stays() {
    assert_eq!(kept(json!({"by": ["id"]})), [0, 1, 3]);
    assert_eq!(kept(json!({"by": ["id"], "keep": "last"})), [4, 5, 6]);
}

#[test]
fn a_column_says_which_row_is_first_and_null_comes_before_all_values() {
    assert_eq!(kept(json!({"by": ["id"], "order": "at"})), [1, 2, 3]);
    assert_eq!(kept(json!({"by": ["id"], "keep": "last", "order": "at"})), [4, 5, 6]);
    assert_eq!(kept(json!({"by": ["at"], "order": "id"})), [0, 1, 2, 3]);
    assert_eq!(kept(json!({"by": ["at"], "keep": "last", "order": "id"})), [2, 4, 5, 6]);
}

#[test]
fn rows_that_agree_in_all_columns_are_one() {
    let twice = [rows(), rows()];
    let batch = testing::run::<Dedup>(&json!({}), &[twice.to_vec()]).unwrap().remove(0);
    assert_eq!(batch.num_rows(), 7);
    let empty = testing::run::<Dedup>(&json!({}), &[vec![rows().slice(0, 0)]]).unwrap().remove(0);
    assert_eq!(empty.num_rows(), 0);
}

#[test]
fn only_keys_and_the_order_are_read() {
    let config = json!({"by": ["id"], "order": "at"});
    let description = testing::describe::<Dedup>(&config, &[rows().schema()]).unwrap();
    assert_eq!((&description.inputs[0].reads, &description.inputs[0].keys), (&vec![1, 2], &vec![1]));
}

#[test]
fn all_mistakes_are_told() {
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int8Type, _, _>([Some(vec![Some(1)])]));
    let schema = RecordBatch::try_from_iter([("list", list)]).unwrap().schema();
    let told = |config: Value| testing::describe::<Dedup>(&config, std::slice::from_ref(&schema)).unwrap_err();
    let problem = told(json!({"by": ["list"], "order": "lists"}));
    assert_eq!(problem.config_path.as_deref(), Some("/by/0"));
    assert!(problem.message.contains("also at `/order`: the input has no column `lists` (did you mean `list`?)"));
    assert_eq!(told(json!({"by": []})).config_path.as_deref(), Some("/by"));
    assert!(told(json!({})).message.contains("`list` is List(Int8)"), "all columns are keys");
}
