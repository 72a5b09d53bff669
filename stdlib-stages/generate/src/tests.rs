//! `generate@1` run natively, by the rules of the host.

use flowc_sdk::arrow::datatypes::{Float64Type, Int64Type};
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;

fn run(config: &Value) -> Result<RecordBatch> {
    Ok(testing::run::<Generate>(config, &[])?.remove(0))
}

fn config(rows: u64, per_part: u64) -> Value {
    json!({"rows": rows, "seed": 7, "rows-per-part": per_part, "column": [
        {"name": "id", "kind": "sequence", "from": 10, "step": 5},
        {"name": "n", "kind": "int", "min": -3, "max": 3},
        {"name": "x", "kind": "float", "min": 1, "max": 2.5, "nulls": 0.25},
        {"name": "color", "kind": "choice", "values": ["red", "green"]},
        {"name": "text", "kind": "text", "words": 3},
        {"name": "at", "kind": "timestamp", "start": "2024-02-29T00:00:00Z", "step": 60_000},
    ]})
}

#[test]
fn the_cut_into_parts_does_not_matter() {
    let whole = run(&config(20_000, 1_000_000)).unwrap();
    assert_eq!(whole.num_rows(), 20_000);
    assert_eq!(whole, run(&config(20_000, 777)).unwrap());
    let description = testing::describe::<Generate>(&config(20_000, 777), &[]).unwrap();
    assert_eq!(description.parts, 26);
}

#[test]
fn values_are_what_the_config_says() {
    let batch = run(&config(1000, 1000)).unwrap();
    let ids = batch.column(0).as_primitive::<Int64Type>();
    assert_eq!(ids.values()[..3], [10, 15, 20]);
    let n = batch.column(1).as_primitive::<Int64Type>().values();
    assert_eq!((n.iter().min(), n.iter().max()), (Some(&-3), Some(&3)));
    let x = batch.column(2).as_primitive::<Float64Type>();
    assert!(x.iter().flatten().all(|x| (1.0..2.5).contains(&x)) && (200..300).contains(&x.null_count()));
    assert!(batch.column(4).as_string::<i32>().iter().flatten().all(|text| text.split(' ').count() == 3));
}

#[test]
fn a_column_depends_on_the_seed_and_its_name_alone() {
    let one = |name: &str, seed: u64| {
        let config = json!({"rows": 50, "seed": seed, "column": [{"name": name, "kind": "int", "max": 1_000_000}]});
        run(&config).unwrap().column(0).clone()
    };
    let among_others = json!({"rows": 50, "seed": 1, "column": [
        {"name": "a", "kind": "sequence"}, {"name": "n", "kind": "int", "max": 1_000_000}]});
    assert_eq!(run(&among_others).unwrap().column(1), &one("n", 1));
    assert_ne!(&one("n", 1), &one("n", 2));
    assert_ne!(&one("n", 1), &one("m", 1));
}

#[test]
fn no_rows_are_one_empty_part() {
    assert_eq!(run(&config(0, 10)).unwrap().num_rows(), 0);
    assert_eq!(testing::describe::<Generate>(&config(0, 10), &[]).unwrap().parts, 1);
}

#[test]
fn mistakes_are_blamed_on_their_place() {
    let path = |column: Value| {
        let config = json!({"rows": 10, "column": [column]});
        run(&config).unwrap_err().config_path.unwrap()
    };
    assert_eq!(path(json!({"name": "a", "kind": "int", "min": 5, "max": 4})), "/column/0/max");
    assert_eq!(path(json!({"name": "a", "kind": "int", "min": 0.5})), "/column/0/min");
    assert_eq!(path(json!({"name": "a", "kind": "choice"})), "/column/0/values");
    assert_eq!(path(json!({"name": "a", "kind": "timestamp", "start": "soon"})), "/column/0/start");
    assert_eq!(path(json!({"name": "a", "kind": "sequence", "step": i64::MAX})), "/column/0/step");
    assert_eq!(path(json!({"name": "a", "kind": "float", "nulls": 2})), "/column/0/nulls");
    assert_eq!(
        run(&json!({"rows": 1, "rows-per-part": 0, "column": []})).unwrap_err().config_path.unwrap(),
        "/rows-per-part"
    );
}
