//! `count@1` run natively, by the rules of the host.

use flowc_sdk::arrow::array::{DictionaryArray, Float64Array, Int32Array};
use flowc_sdk::arrow::datatypes::Int32Type;
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;

fn texts(texts: &[Option<&str>]) -> RecordBatch {
    RecordBatch::try_from_iter([("word", Arc::new(StringArray::from(texts.to_vec())) as ArrayRef)]).unwrap()
}

fn run(config: Value, segments: Vec<RecordBatch>) -> RecordBatch {
    testing::run::<Combining<Count>>(&config, &[segments]).unwrap().remove(0)
}

fn counts(batch: &RecordBatch) -> Vec<i64> {
    batch.column_by_name("count").unwrap().as_primitive::<Int64Type>().values().to_vec()
}

fn words(batch: &RecordBatch) -> Vec<Option<&str>> {
    batch.column(0).as_string::<i32>().iter().collect()
}

#[test]
fn words_are_counted_over_all_segments_and_sorted() {
    let a = texts(&[Some("b"), Some("a"), None, Some("b"), Some("")]);
    let b = texts(&[Some("b"), None, Some("ab")]);
    let batch = run(json!({}), vec![a, b, texts(&[])]);
    assert_eq!(words(&batch), [None, Some(""), Some("a"), Some("ab"), Some("b")]);
    assert_eq!(counts(&batch), [2, 1, 1, 1, 3]);
}

#[test]
fn the_cut_into_segments_does_not_matter() {
    let words: Vec<String> =
        (0..5000_u32).map(|i| "x".repeat((i % 37) as usize) + &(i * i % 911).to_string()).collect();
    let all: Vec<Option<&str>> = words.iter().map(|word| Some(word.as_str())).collect();
    let whole = run(json!({}), vec![texts(&all)]);
    assert_eq!(whole, run(json!({}), all.chunks(7).map(texts).collect()));
    let mut expected = std::collections::BTreeMap::new();
    words.iter().for_each(|word| *expected.entry(word.as_str()).or_insert(0) += 1);
    assert_eq!(words_of(&whole), expected.keys().copied().collect::<Vec<_>>());
    assert_eq!(counts(&whole), expected.values().copied().collect::<Vec<_>>());
}

fn words_of(batch: &RecordBatch) -> Vec<&str> {
    batch.column(0).as_string::<i32>().iter().flatten().collect()
}

#[test]
fn several_columns_of_any_type_are_counted_together() {
    let batch = RecordBatch::try_from_iter([
        ("x", Arc::new(Float64Array::from(vec![1.5, 1.5, -2.0])) as ArrayRef),
        ("unrelated", Arc::new(Int32Array::from(vec![1, 2, 3]))),
        ("kind", Arc::new(vec!["a", "a", "b"].into_iter().collect::<DictionaryArray<Int32Type>>())),
    ])
    .unwrap();
    let result = run(json!({"by": ["kind", "x"], "as": "n"}), vec![batch.clone(), batch]);
    assert_eq!(result.schema().field(0).data_type(), &DataType::Utf8, "dictionaries come out as their values");
    assert_eq!(words(&result), [Some("a"), Some("b")]);
    assert_eq!(result.column_by_name("n").unwrap().as_primitive::<Int64Type>().values().to_vec(), [4, 2]);
}

#[test]
fn zeros_are_one_value_and_so_is_nan() {
    let floats = |floats: Vec<f64>| {
        RecordBatch::try_from_iter([("x", Arc::new(Float64Array::from(floats)) as ArrayRef)]).unwrap()
    };
    let segments = [vec![-0.0, f64::NAN, -1.5], vec![0.0, -f64::NAN], vec![-0.0]].map(floats).to_vec();
    let result = run(json!({}), segments.clone());
    let keys = result.column(0).as_primitive::<flowc_sdk::arrow::datatypes::Float64Type>();
    assert_eq!(format!("{:?}", &keys.values()[..]), "[-1.5, 0.0, NaN]");
    assert_eq!(counts(&result), [1, 3, 2]);
    assert_eq!(run(json!({}), segments.into_iter().rev().collect()), result, "whichever comes first");
}

#[test]
fn without_columns_all_rows_are_counted() {
    let result = run(json!({"by": []}), vec![texts(&[None, Some("a")]), texts(&[Some("b")])]);
    assert_eq!(counts(&result), [3]);
}

#[test]
fn only_the_columns_counted_by_are_read() {
    let schema = texts(&[]).schema();
    let problem =
        testing::describe::<Combining<Count>>(&json!({"by": ["wrod"]}), std::slice::from_ref(&schema)).unwrap_err();
    assert_eq!(problem.help.as_deref(), Some("did you mean `word`?"));
    let problem = testing::describe::<Combining<Count>>(&json!({"as": "word"}), &[schema]).unwrap_err();
    assert_eq!(problem.config_path.as_deref(), Some("/as"));
}
