//! `count@1` run natively, by the rules of the host.

use flowc_sdk::arrow::array::{
    Decimal128Array, DictionaryArray, Float64Array, Int32Array, ListArray, StringViewArray, StructArray,
};
use flowc_sdk::arrow::buffer::{NullBuffer, OffsetBuffer};
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

/// Columns of 300 rows, with nulls at all levels, values that come often, and others.
fn columns_of_many_kinds() -> Vec<(&'static str, ArrayRef)> {
    let codes: Vec<Option<i64>> = (0..300).map(|row: i64| (row % 13 != 4).then_some(row * row * 31 % 97)).collect();
    let floats: Float64Array =
        codes.iter().map(|code| code.map(|code| [0.0, -0.0, f64::NAN, 1.5][code as usize % 4])).collect();
    let texts: StringArray = codes.iter().map(|code| code.map(|code| "ab".repeat(code as usize % 50))).collect();
    let values = StringArray::from(vec![Some("a"), None, Some("b"), Some("a"), Some("")]);
    let keys: Int32Array = codes.iter().map(|code| code.map(|code| code as i32 % 5)).collect();
    let coded = DictionaryArray::<Int32Type>::new(keys, Arc::new(values));
    let lengths = codes.iter().map(|code| code.unwrap_or_default() as usize % 3).scan(0, |end, length| {
        *end = (*end + length).min(300);
        Some(*end as i32)
    });
    let offsets = OffsetBuffer::new(std::iter::once(0).chain(lengths).collect());
    let last = *offsets.last().unwrap() as usize;
    let nulls: NullBuffer = codes.iter().map(Option::is_some).collect();
    let item = field("item", DataType::Float64, true);
    let lists = ListArray::new(item, offsets, Arc::new(floats.slice(0, last)), Some(nulls.clone()));
    let fields = vec![field("x", DataType::Float64, true), field("t", DataType::Utf8, true)];
    let structs = StructArray::new(fields.into(), vec![Arc::new(floats.clone()), Arc::new(texts.clone())], Some(nulls));
    let decimals: Decimal128Array = codes.iter().map(|code| code.map(|code| i128::from(code) << 70)).collect();
    vec![
        ("text", Arc::new(texts)),
        (
            "view",
            Arc::new(codes.iter().map(|code| code.map(|code| format!("{code:020}"))).collect::<StringViewArray>()),
        ),
        ("number", Arc::new(codes.iter().copied().collect::<Int64Array>())),
        ("float", Arc::new(floats)),
        ("decimal", Arc::new(decimals)),
        ("coded", Arc::new(coded)),
        ("list", Arc::new(lists)),
        ("struct", Arc::new(structs)),
    ]
}

#[test]
fn rows_have_one_partial_however_they_are_cut_and_merged() {
    let rows = RecordBatch::try_from_iter_with_nullable(
        columns_of_many_kinds().into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    let pairs = names.windows(2).map(<[String]>::to_vec);
    for by in names.iter().map(|name| vec![name.clone()]).chain(pairs).chain([vec![], names.clone()]) {
        let config = json!({"by": by});
        let partial = |lists: &[Vec<RecordBatch>]| testing::partial::<Combining<Count>>(&config, lists).unwrap();
        let whole = partial(&[vec![rows.clone()]]);
        for size in [1, 7, 100, 299] {
            let parts = || (0..300).step_by(size).map(|start| rows.slice(start, size.min(300 - start)));
            assert!(partial(&[parts().collect()]) == whole, "by {by:?}, in batches of {size}");
            assert!(
                partial(&parts().map(|part| vec![part]).collect::<Vec<_>>()) == whole,
                "by {by:?}, parts of {size}"
            );
        }
    }
}
