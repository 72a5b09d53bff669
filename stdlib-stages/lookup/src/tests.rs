//! `lookup@1` run natively, by the rules of the host.

use flowc_sdk::Rows;
use flowc_sdk::arrow::array::Int64Array;
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;

fn orders(customers: &[Option<i64>]) -> RecordBatch {
    let numbers = Int64Array::from_iter_values(0..customers.len() as i64);
    let columns: [(&str, ArrayRef); 2] =
        [("order", Arc::new(numbers)), ("customer", Arc::new(Int64Array::from(customers.to_vec())))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn customers(rows: &[(Option<i64>, &str)]) -> RecordBatch {
    let ids: Int64Array = rows.iter().map(|(id, _)| *id).collect();
    let names: StringArray = rows.iter().map(|(_, name)| Some(*name)).collect();
    let columns: [(&str, ArrayRef, bool); 2] = [("id", Arc::new(ids), true), ("name", Arc::new(names), false)];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn config(more: Value) -> Value {
    let mut config = json!({"on": [{"left": "customer", "right": "id"}]});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn run(more: Value, table: Vec<RecordBatch>) -> Result<RecordBatch> {
    let rows = orders(&[Some(1), Some(7), None, Some(2), Some(1)]);
    Ok(testing::run::<Lookup>(&config(more), &[vec![rows], table])?.remove(0))
}

fn table() -> Vec<RecordBatch> {
    vec![customers(&[(Some(1), "ann")]), customers(&[(Some(2), "bob"), (None, "nobody"), (None, "nothing")])]
}

fn order(batch: &RecordBatch) -> Vec<i64> {
    batch.column(0).as_primitive::<flowc_sdk::arrow::datatypes::Int64Type>().values().to_vec()
}

fn names(batch: &RecordBatch) -> Vec<Option<&str>> {
    batch.column(2).as_string::<i32>().iter().collect()
}

#[test]
fn inner_keeps_rows_with_a_match() {
    let batch = run(json!({}), table()).unwrap();
    assert_eq!(order(&batch), [0, 3, 4]);
    assert_eq!(names(&batch), [Some("ann"), Some("bob"), Some("ann")]);
}

/// Keys may have their nulls beside the values, among them, or be nothing but nulls.
#[test]
fn a_null_matches_nothing_wherever_it_lies() {
    use flowc_sdk::arrow::array::{DictionaryArray, NullArray, UInt8Array};

    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let within: ArrayRef = Arc::new(DictionaryArray::new(UInt8Array::from(vec![0, 1, 1]), texts.clone()));
    let beside: ArrayRef = Arc::new(DictionaryArray::new(UInt8Array::from(vec![Some(0), None, None]), texts));
    for (keys, matched) in [(within, 1), (beside, 1), (Arc::new(NullArray::new(3)) as ArrayRef, 0)] {
        let batch = |name| RecordBatch::try_from_iter_with_nullable([(name, keys.clone(), true)]).unwrap();
        let config = json!({"on": [{"left": "left", "right": "right"}]});
        let rows = testing::run::<Lookup>(&config, &[vec![batch("left")], vec![batch("right")]]).unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), matched, "{:?}", keys.data_type());
    }
}

#[test]
fn dictionaries_of_the_tables_batches_become_one() {
    use flowc_sdk::arrow::array::{DictionaryArray, Int8Array};
    use flowc_sdk::arrow::datatypes::Int8Type;

    // Keys of 8 bits can't number the values of both batches one behind the other.
    let table = |ids: std::ops::Range<i64>| {
        let values: StringArray = (0..100).map(|value| Some(format!("kind {value}"))).collect();
        let kinds = Int8Array::from_iter_values(ids.clone().map(|id| (id % 100) as i8));
        let kinds = DictionaryArray::<Int8Type>::new(kinds, Arc::new(values));
        let columns: [(&str, ArrayRef); 2] =
            [("id", Arc::new(Int64Array::from_iter_values(ids))), ("kind", Arc::new(kinds))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let batch = run(json!({}), vec![table(0..3), table(5..120)]).unwrap();
    let kinds = batch.column(2).as_dictionary::<Int8Type>().downcast_dict::<StringArray>().unwrap();
    assert_eq!(order(&batch), [0, 1, 3, 4]);
    assert_eq!(kinds.into_iter().flatten().collect::<Vec<_>>(), ["kind 1", "kind 7", "kind 2", "kind 1"]);
}

#[test]
fn left_keeps_all_rows() {
    let batch = run(json!({"mode": "left", "prefix": "customer_"}), table()).unwrap();
    assert_eq!(order(&batch), [0, 1, 2, 3, 4]);
    assert_eq!(names(&batch), [Some("ann"), None, None, Some("bob"), Some("ann")]);
    assert_eq!(batch.schema().field(2).name(), "customer_name");
    assert!(batch.schema().field(2).is_nullable());
}

#[test]
fn anti_keeps_rows_without_a_match() {
    let batch = run(json!({"mode": "anti"}), table()).unwrap();
    assert_eq!(order(&batch), [1, 2]);
    assert_eq!(batch.num_columns(), 2);
}

#[test]
fn a_key_that_is_there_twice_is_an_error_unless_the_first_will_do() {
    let twice = || vec![customers(&[(Some(1), "ann"), (Some(1), "anna")])];
    let problem = run(json!({}), twice()).unwrap_err();
    assert_eq!(problem.message, "the table has several rows with id = 1");
    assert_eq!(names(&run(json!({"first": true}), twice()).unwrap()), [Some("ann"), Some("ann")]);
    assert_eq!(order(&run(json!({"mode": "anti"}), twice()).unwrap()), [1, 2, 3], "nothing is taken from the table");
}

#[test]
fn zeros_match_and_so_does_nan_but_null_does_not() {
    let floats = |name: &str, floats: Vec<Option<f64>>| {
        let column: ArrayRef = Arc::new(flowc_sdk::arrow::array::Float64Array::from(floats.clone()));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..floats.len() as i64));
        RecordBatch::try_from_iter_with_nullable([(name, column, true), (&format!("{name}_row"), numbers, false)])
            .unwrap()
    };
    let rows = floats("a", vec![Some(-0.0), Some(0.0), Some(f64::NAN), None, Some(-1.5)]);
    let table = floats("b", vec![Some(-f64::NAN), Some(0.0), None]);
    let config = json!({"on": [{"left": "a", "right": "b"}]});
    let found = testing::run::<Lookup>(&config, &[vec![rows], vec![table]]).unwrap().remove(0);
    assert_eq!(order(&found.project(&[1]).unwrap()), [0, 1, 2]);
    assert_eq!(order(&found.project(&[2]).unwrap()), [1, 1, 0]);
}

#[test]
fn an_empty_table_matches_nothing() {
    assert_eq!(run(json!({}), vec![customers(&[])]).unwrap().num_rows(), 0);
    assert_eq!(names(&run(json!({"mode": "left"}), vec![customers(&[])]).unwrap()), [None; 5]);
}

#[test]
fn rows_are_row_wise_and_the_table_is_whole() {
    let schemas = [orders(&[]).schema(), customers(&[]).schema()];
    let description = testing::describe::<Lookup>(&config(json!({"mode": "anti"})), &schemas).unwrap();
    assert_eq!(description.inputs[0], Input { class: Class::RowWise, reads: vec![1], keys: vec![] });
    assert_eq!(description.inputs[1], Input { class: Class::Whole, reads: vec![0], keys: vec![] });
    assert_eq!(description.outputs[0].rows, Rows::Subset(0));
}

#[test]
fn mistakes_are_blamed_on_their_place() {
    let path = |more| run(more, table()).unwrap_err().config_path.unwrap();
    assert_eq!(path(json!({"on": [{"left": "costumer", "right": "id"}]})), "/on/0/left");
    assert_eq!(path(json!({"on": [{"left": "customer", "right": "name"}]})), "/on/0");
    assert_eq!(path(json!({"on": []})), "/on");
    assert_eq!(path(json!({"columns": ["nmae"]})), "/columns/0");
    assert_eq!(path(json!({"mode": "anti", "columns": ["name"]})), "/columns");
    assert_eq!(
        path(json!({"columns": ["id"], "prefix": "", "on": [{"left": "order", "right": "id"}], "mode": "outer"})),
        "/mode"
    );
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let same = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ("order", Arc::new(Int64Array::from(vec![1]))),
    ])
    .unwrap();
    let problem = run(json!({}), vec![same.clone()]).unwrap_err();
    assert!(problem.help.unwrap().contains("prefix"));
    assert!(run(json!({"prefix": "customer_"}), vec![same]).is_ok());
}
