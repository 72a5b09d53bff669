//! `assert@1` run natively, by the rules of the host.

use flowc_sdk::arrow::array::{Date32Array, DictionaryArray, Float64Array, Int64Array, ListArray};
use flowc_sdk::arrow::datatypes::{Int8Type, Int64Type};
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;

fn rows() -> RecordBatch {
    let kinds: DictionaryArray<Int8Type> = [Some("a"), Some("b"), None, Some("a"), Some("c")].into_iter().collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("row", Arc::new(Int64Array::from_iter_values(1..6))),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), Some(-0.0), None, Some(f64::NAN), Some(7.0)]))),
        ("kind", Arc::new(kinds)),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 2, 3, 4]))),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int8Type, _, _>((0..5).map(|n| (n > 0).then(|| vec![Some(n)])))),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// Rows that pass, and rows that fail with their reasons.
fn parted(mut config: Value) -> (Vec<i64>, Vec<(i64, String)>) {
    config["on-failure"] = json!("stream");
    let mut outputs = testing::run::<Assert>(&config, &[vec![rows()]]).unwrap();
    let failed = outputs.remove(1);
    let numbers = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
    let reasons = failed.column_by_name("failure").unwrap().as_string::<i32>().iter().flatten().map(str::to_owned);
    let mut failed: Vec<_> = numbers(&failed).into_iter().zip(reasons).collect();
    let mut passed = numbers(&outputs[0]);
    passed.sort_unstable();
    failed.sort_unstable();
    (passed, failed)
}

fn told(reasons: &[(i64, &str)]) -> Vec<(i64, String)> {
    reasons.iter().map(|(row, reason)| (*row, (*reason).to_owned())).collect()
}

#[test]
fn rows_are_parted_by_what_holds() {
    let (passed, failed) = parted(json!({"check": [{"column": "x", "min": 0, "max": 1}]}));
    assert_eq!(passed, [1, 2, 3], "-0.0 is no less than 0, and null is no value");
    assert_eq!(failed, told(&[(4, "`x` is NaN, more than 1.0"), (5, "`x` is 7.0, more than 1.0")]));
    let (passed, failed) = parted(json!({"check": [
        {"column": "kind", "in": ["a", "b"], "not-null": true}, {"column": "day", "max": "1970-01-04"},
        {"column": "list", "not-null": true},
    ]}));
    assert_eq!(passed, [2, 4]);
    let due = [
        (1, "`list` is null"),
        (3, "`kind` is null"),
        (5, "`kind` is c, none of a, b; `day` is 1970-01-05, more than 1970-01-04"),
    ];
    assert_eq!(failed, told(&due));
}

#[test]
fn rows_that_agree_in_unique_columns_fail_from_the_second_on() {
    let (passed, failed) = parted(json!({"unique": ["kind"]}));
    assert_eq!(passed, [1, 2, 3, 5]);
    assert_eq!(failed, told(&[(4, "`kind` agree with an earlier row")]));
    let (passed, failed) = parted(json!({"unique": ["kind", "x"], "check": [{"column": "row", "max": 4}]}));
    assert_eq!((passed, failed), (vec![1, 2, 3, 4], told(&[(5, "`row` is 5, more than 4")])));
}

#[test]
fn a_failure_names_rows() {
    let run = |config: Value| testing::run::<Assert>(&config, &[vec![rows()]]);
    let problem = run(json!({"check": [{"column": "row", "max": 4}]})).unwrap_err();
    assert_eq!(problem.message, "1 row fails of 5: row 5: `row` is 5, more than 4");
    let problem = run(json!({"check": [{"column": "row", "min": 7}]})).unwrap_err();
    assert!(problem.message.starts_with("5 rows fail of 5: row 1: `row` is 1, less than 7; row 2: "));
    assert!(problem.message.ends_with("; ..."));
    let outputs = run(json!({"check": [{"column": "row", "min": 1}]})).unwrap();
    assert_eq!((outputs[0].clone(), outputs[1].num_rows()), (rows(), 0));
}

#[test]
fn all_mistakes_are_told() {
    let problem = |config: Value| testing::describe::<Assert>(&config, &[rows().schema()]).unwrap_err();
    let told = problem(json!({"unique": ["list", "y"], "check": [
        {"column": "x"}, {"column": "z", "min": 1}, {"column": "row", "min": "a", "in": [1, 1.5]}, {"column": "list", "min": 1},
    ]}));
    assert_eq!(told.config_path.as_deref(), Some("/check/0"));
    let places: Vec<_> = told.message.lines().skip(1).filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(
        places,
        ["/check/1/column", "/check/2/min", "/check/2/in/1", "/check/3/column", "/unique/0", "/unique/1"]
    );
    assert_eq!(problem(json!({})).message, "there is nothing to check");
}
