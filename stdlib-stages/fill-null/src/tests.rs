//! `fill-null@1` run natively, by the rules of the host.

use flowc_sdk::arrow::array::*;
use flowc_sdk::arrow::datatypes::*;
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;

fn batch() -> RecordBatch {
    let columns: [(&str, ArrayRef); 8] = [
        ("n", Arc::new(Int16Array::from(vec![None, Some(1), None, None, Some(2)]))),
        ("m", Arc::new(Int16Array::from(vec![Some(7), Some(8), None, Some(9), None]))),
        ("x", Arc::new(Float64Array::from(vec![None, Some(f64::NAN), Some(-0.0), None, None]))),
        ("t", Arc::new(StringViewArray::from(vec![Some("a"), None, Some(""), None, None]))),
        (
            "kind",
            Arc::new(
                vec![Some("a"), None, Some("b"), None, Some("a")].into_iter().collect::<DictionaryArray<Int8Type>>(),
            ),
        ),
        ("day", Arc::new(Date32Array::from(vec![None, Some(0), None, None, None]))),
        (
            "price",
            Arc::new(
                Decimal128Array::from(vec![None, Some(1), None, None, None]).with_precision_and_scale(5, 2).unwrap(),
            ),
        ),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int8Type, _, _>([None, Some(vec![Some(1)]), None, None, None])),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn run(fill: Value) -> Result<RecordBatch> {
    Ok(testing::run::<FillNull>(&json!({"fill": fill}), &[vec![batch(), batch().slice(0, 0)]])?.remove(0))
}

fn column(name: &str, value: Value) -> ArrayRef {
    let batch = run(json!([{"column": name, "value": value}])).unwrap();
    let (index, field) = batch.schema().column_with_name(name).map(|(index, field)| (index, field.clone())).unwrap();
    assert!(!field.is_nullable());
    batch.column(index).clone()
}

#[test]
fn a_value_is_put_in_the_place_of_nulls() {
    assert_eq!(column("n", json!(-1)).as_primitive::<Int16Type>().values().to_vec(), [-1, 1, -1, -1, 2]);
    let floats = column("x", json!(1.5));
    assert_eq!(format!("{:?}", &floats.as_primitive::<Float64Type>().values()[..]), "[1.5, NaN, -0.0, 1.5, 1.5]");
    assert_eq!(column("t", json!("?")).as_string_view().iter().flatten().collect::<Vec<_>>(), ["a", "?", "", "?", "?"]);
    let kinds = column("kind", json!("none"));
    let kinds: Vec<_> = kinds
        .as_dictionary::<Int8Type>()
        .downcast_dict::<StringArray>()
        .unwrap()
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    assert_eq!(kinds, ["a", "none", "b", "none", "a"]);
    assert_eq!(column("day", json!("1970-01-03")).as_primitive::<Date32Type>().values().to_vec(), [2, 0, 2, 2, 2]);
    assert_eq!(
        column("price", json!("1.5")).as_primitive::<Decimal128Type>().values().to_vec(),
        [150, 1, 150, 150, 150]
    );
}

#[test]
fn another_column_fills_what_it_has() {
    let batch = run(json!([{"column": "n", "from": "m"}])).unwrap();
    let filled = batch.column(0).as_primitive::<Int16Type>();
    assert_eq!(filled.iter().collect::<Vec<_>>(), [Some(7), Some(1), None, Some(9), Some(2)]);
    assert!(batch.schema().field(0).is_nullable());
    assert_eq!(batch.num_columns(), 8);
}

#[test]
fn a_column_that_is_filled_fills_another_one_as_it_was() {
    let batch = run(json!([{"column": "m", "value": 0}, {"column": "n", "from": "m"}])).unwrap();
    assert_eq!(batch.column(1).as_primitive::<Int16Type>().values().to_vec(), [7, 8, 0, 9, 0]);
    assert!(batch.column(0).is_null(2));
}

#[test]
fn all_mistakes_are_told() {
    let problem = run(json!([
        {"column": "n", "value": 70_000}, {"column": "n", "value": 1.5}, {"column": "t", "value": 5},
        {"column": "day", "value": "never"}, {"column": "x", "from": "n"}, {"column": "m"},
        {"column": "list", "value": "a"}, {"column": "price", "value": 1.005},
    ]))
    .unwrap_err();
    let expected = "\
70000 is out of the range of Int16
also at `/fill/1/column`: `n` is filled already
also at `/fill/1/value`: 1.5 has more digits than Int16 has room for
also at `/fill/2/value`: 5 is no value of Utf8View
also at `/fill/3/value`: \"never\" is no Date32
also at `/fill/4/from`: column `n` is Int16, not Float64 as `x`
also at `/fill/5`: either a `value` or a column `from` which to take it is needed
also at `/fill/6/value`: nothing can be converted to List(Int8)
also at `/fill/7/value`: 1.005 has more digits than Decimal128(5, 2) has room for";
    assert_eq!((problem.config_path.as_deref(), problem.message.as_str()), (Some("/fill/0/value"), expected));
    assert_eq!(run(json!([])).unwrap_err().config_path.as_deref(), Some("/fill"));
}

#[test]
fn dictionaries_hold_a_value_once() {
    let kinds = |values: usize, rows: &[i8]| -> ArrayRef {
        let values: StringArray = (0..values).map(|value| Some(value.to_string())).collect();
        let keys = rows.iter().map(|&row| (row >= 0).then_some(row)).collect::<Int8Array>();
        Arc::new(DictionaryArray::new(keys, Arc::new(values)))
    };
    let run = |values: usize, fill: Value| {
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("a", kinds(values, &[5, -1, values as i8 - 1]), true),
            ("b", kinds(values, &[1, 2, -1]), true),
        ]);
        let batch = testing::run::<FillNull>(&json!({"fill": [fill]}), &[vec![batch.unwrap()]])?.remove(0);
        let values = batch.column(0).as_dictionary::<Int8Type>().downcast_dict::<StringArray>().unwrap();
        Ok::<_, Problem>(values.into_iter().flatten().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(run(127, json!({"column": "a", "value": "new"})).unwrap(), ["5", "new", "126"]);
    assert_eq!(run(127, json!({"column": "a", "value": "7"})).unwrap(), ["5", "7", "126"]);
    assert_eq!(run(127, json!({"column": "a", "from": "b"})).unwrap(), ["5", "2", "126"]);
}
