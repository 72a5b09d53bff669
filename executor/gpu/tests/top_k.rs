//! `top-k@1` beside a plain loop over the same vectors.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int8Type, Int32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Int32Array, RecordBatch};
use flowc_planner::plan::Class;
use serde_json::{Value, json};
use support::{Runner, with_driver};

/// Numbers that look random, the same in each run.
fn random(seed: u32) -> impl FnMut() -> u32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    }
}

fn batch(vector: FixedSizeListArray) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..vector.len() as i32));
    RecordBatch::try_from_iter_with_nullable([("id", ids, false), ("vector", Arc::new(vector), true)]).unwrap()
}

type Vectors = Vec<Option<Vec<f32>>>;

/// Rows of vectors, some of which are null.
fn vectors(rows: usize, count: usize, seed: u32, nulls: usize) -> Vectors {
    let mut next = random(seed);
    let row = |row: usize| {
        let values = (0..count).map(|_| (next() % 2001) as f32 / 1000.0 - 1.0).collect();
        (nulls == 0 || row % nulls != 3).then_some(values)
    };
    (0..rows).map(row).collect()
}

fn floats(vectors: &Vectors) -> RecordBatch {
    let count = vectors.iter().flatten().next().unwrap().len() as i32;
    let rows = vectors.iter().map(|row| row.as_ref().map(|values| values.iter().copied().map(Some)));
    batch(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, count))
}

fn integers(vectors: &Vectors) -> RecordBatch {
    let count = vectors.iter().flatten().next().unwrap().len() as i32;
    let byte = |value: &f32| Some((value * 127.0) as i8);
    let rows = vectors.iter().map(|row| row.as_ref().map(|values| values.iter().map(byte).collect::<Vec<_>>()));
    batch(FixedSizeListArray::from_iter_primitive::<Int8Type, _, _>(rows, count))
}

fn score(by: &str, one: &[f64], other: &[f64]) -> f64 {
    let sum = |of: &dyn Fn(f64, f64) -> f64| one.iter().zip(other).map(|(a, b)| of(*a, *b)).sum::<f64>();
    match by {
        "dot" => sum(&|a, b| a * b),
        "l2" => sum(&|a, b| (a - b) * (a - b)),
        _ => sum(&|a, b| a * b) / (sum(&|a, _| a * a).sqrt() * sum(&|_, b| b * b).sqrt()),
    }
}

/// The best rows of a table, with their scores, as a plain loop finds them.
fn expected(by: &str, one: &[f64], table: &[Option<Vec<f64>>], k: usize) -> Vec<(u32, f64)> {
    let rows =
        table.iter().enumerate().filter_map(|(row, vector)| Some((row as u32, score(by, one, vector.as_ref()?))));
    let mut rows: Vec<(u32, f64)> = rows.collect();
    let sign = if by == "l2" { 1.0 } else { -1.0 };
    rows.sort_by(|(_, one), (_, other)| (sign * one).total_cmp(&(sign * other)));
    rows.truncate(k);
    rows
}

fn wide(vectors: &Vectors, of: impl Fn(f32) -> f64) -> Vec<Option<Vec<f64>>> {
    vectors.iter().map(|row| row.as_ref().map(|row| row.iter().map(|value| of(*value)).collect())).collect()
}

/// The rows that were found for a row.
fn found(batch: &RecordBatch, row: usize) -> Vec<u32> {
    let list = batch.column_by_name("nearest").unwrap().as_fixed_size_list().value(row);
    list.as_primitive::<UInt32Type>().values().to_vec()
}

/// A table that is known again is neither handed over nor put together again.
#[test]
fn a_table_that_is_known_again_is_held() {
    with_driver("a_table_that_is_known_again_is_held", || {
        let runner = Runner::new();
        let (rows, table) = (floats(&vectors(50, 32, 1, 0)), floats(&vectors(500, 32, 2, 0)));
        let other = floats(&vectors(500, 32, 3, 0));
        let stage = |config| runner.with_table("top-k@1", &config, &rows.schema(), &table.schema()).unwrap();
        let plain = stage(json!({"k": 3}));
        let (due, due_of_other) = (plain.rows(&rows, &table, 50).unwrap(), plain.rows(&rows, &other, 50).unwrap());
        let known = plain.known(1);
        assert_eq!(known.rows(&rows, &table, 50).unwrap(), due);
        // What is told of the table does not matter any more: it is held.
        assert_eq!(known.rows(&rows, &other, 7).unwrap(), due);
        let config = stage(json!({"k": 3})).known(2);
        assert_eq!(config.rows(&rows, &other, 50).unwrap(), due_of_other);
        assert_eq!(stage(json!({"k": 2})).known(1).rows(&rows, &table, 50).unwrap().num_rows(), 50);
        assert_eq!(known.rows(&rows, &other, 50).unwrap(), due);
    });
}

fn scores(batch: &RecordBatch, row: usize) -> Vec<f32> {
    let list = batch.column_by_name("score").unwrap().as_fixed_size_list().value(row);
    list.as_primitive::<Float32Type>().values().to_vec()
}

fn run(runner: &Runner, config: &Value, rows: &RecordBatch, table: &RecordBatch, at_once: usize) -> RecordBatch {
    let stage = runner.with_table("top-k@1", config, &rows.schema(), &table.schema()).unwrap();
    assert_eq!(stage.description.inputs[0].class, Class::RowWise);
    assert_eq!(stage.description.inputs[1].class, Class::Whole);
    stage.rows(rows, table, at_once).unwrap()
}

#[test]
fn floats_are_ranked_as_by_a_plain_loop() {
    with_driver("floats_are_ranked_as_by_a_plain_loop", || {
        let runner = Runner::new();
        // The table has several pieces of the longer vectors.
        for (count, of_table, k) in [(32, 9000, 10), (7, 500, 1), (384, 700, 100)] {
            let (rows, table) = (vectors(37, count, 1, 9), vectors(of_table, count, 2, 13));
            for by in ["cosine", "dot", "l2"] {
                let made = run(&runner, &json!({"k": k, "by": by}), &floats(&rows), &floats(&table), 10);
                let wide_table = wide(&table, f64::from);
                for (row, vector) in wide(&rows, f64::from).iter().enumerate() {
                    let lists = made.column_by_name("nearest").unwrap();
                    assert_eq!(lists.is_null(row), vector.is_none(), "row {row} by {by}");
                    let Some(vector) = vector else { continue };
                    let best = expected(by, vector, &wide_table, k);
                    for ((near, score_), (_, value)) in found(&made, row).iter().zip(scores(&made, row)).zip(best) {
                        // Where two are nearly the same, either may be first; the score tells.
                        let own = score(by, vector, wide_table[*near as usize].as_ref().unwrap());
                        let most = 1e-4 * value.abs().max(1.0);
                        assert!(
                            (own - value).abs() < most && (f64::from(score_) - own).abs() < most,
                            "row {row} by {by}"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn integers_are_ranked_exactly() {
    with_driver("integers_are_ranked_exactly", || {
        let runner = Runner::new();
        let (rows, table) = (vectors(50, 16, 5, 0), vectors(3000, 16, 6, 7));
        for by in ["dot", "l2"] {
            let config = json!({"k": 12, "by": by});
            let made = run(&runner, &config, &integers(&rows), &integers(&table), 50);
            let byte = |value: f32| f64::from((value * 127.0) as i8);
            let table = wide(&table, byte);
            for (row, vector) in wide(&rows, byte).iter().enumerate() {
                let best = expected(by, vector.as_ref().unwrap(), &table, 12);
                assert_eq!(
                    found(&made, row),
                    best.iter().map(|(row, _)| *row).collect::<Vec<_>>(),
                    "row {row} by {by}"
                );
                let list = made.column_by_name("score").unwrap().as_fixed_size_list().value(row);
                let scores = best.iter().map(|(_, score)| *score as i32).collect::<Vec<_>>();
                assert_eq!(list.as_primitive::<Int32Type>().values(), &scores[..], "row {row} by {by}");
            }
        }
    });
}

#[test]
fn ties_go_to_the_row_that_comes_first_however_rows_are_pushed() {
    with_driver("ties_go_to_the_row_that_comes_first_however_rows_are_pushed", || {
        let runner = Runner::new();
        // Ten vectors, again and again.
        let table: Vectors = (0..4000).map(|row| vectors(10, 8, 3, 0)[row % 10].clone()).collect();
        let rows = vectors(300, 8, 4, 0);
        let config = json!({"k": 25, "by": "dot"});
        let all = run(&runner, &config, &floats(&rows), &floats(&table), 300);
        for row in 0..300 {
            let found = found(&all, row);
            assert!(found.iter().enumerate().all(|(place, near)| *near as usize / 10 == place), "{found:?}");
        }
        for at_once in [1, 7, 64] {
            assert_eq!(
                run(&runner, &config, &floats(&rows).slice(100, 40), &floats(&table), at_once),
                all.slice(100, 40)
            );
        }
    });
}

#[test]
fn what_is_no_number_comes_last_and_zeros_are_near_to_nothing() {
    with_driver("what_is_no_number_comes_last_and_zeros_are_near_to_nothing", || {
        let runner = Runner::new();
        let table: Vectors = vec![
            Some(vec![f32::NAN, 1.0, 0.0, 0.0]),
            Some(vec![0.0; 4]),
            Some(vec![-1.0, 0.0, 0.0, 0.0]),
            Some(vec![1.0, 0.0, 0.0, 0.0]),
        ];
        let rows: Vectors = vec![Some(vec![2.0, 0.0, 0.0, 0.0]), Some(vec![f32::NAN; 4])];
        for (by, order) in [("cosine", [3, 1, 2, 0]), ("dot", [3, 1, 2, 0]), ("l2", [3, 1, 2, 0])] {
            let made = run(&runner, &json!({"k": 4, "by": by}), &floats(&rows), &floats(&table), 2);
            assert_eq!(found(&made, 0), order, "{by}");
            assert!(scores(&made, 0)[3].is_nan());
            if by != "cosine" {
                assert_eq!(found(&made, 1), [0, 1, 2, 3], "{by}: all are alike");
            }
        }
    });
}

#[test]
fn a_table_that_does_not_do_is_told() {
    with_driver("a_table_that_does_not_do_is_told", || {
        let runner = Runner::new();
        let rows = floats(&vectors(3, 8, 1, 0));
        let error = |table: &RecordBatch, k: usize| {
            let stage = runner.with_table("top-k@1", &json!({"k": k}), &rows.schema(), &table.schema()).unwrap();
            stage.rows(&rows, table, 3).unwrap_err().to_string()
        };
        let few = floats(&vectors(5, 8, 2, 5));
        assert_eq!(error(&few, 5), "the table has 4 rows with a `vector`, and 5 are asked for");
        assert_eq!(error(&few.slice(0, 0), 1), "the table has 0 rows with a `vector`, and 1 are asked for");
        let item = |row: usize| (0..8).map(move |at| (row != 2 || at != 3).then_some(1.0f32));
        let with_null =
            batch(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>((0..4).map(|row| Some(item(row))), 8));
        let told = error(&with_null, 1);
        assert!(told.starts_with("in row 3 of the table a value in the list `vector` is null"), "{told}");
        let other = floats(&vectors(5, 9, 2, 0));
        let problem = runner.with_table("top-k@1", &json!({"k": 1}), &rows.schema(), &other.schema()).err().unwrap();
        assert_eq!(problem.message, "the vectors of the rows have 8 values, and those of the table 9");
    });
}

/// A table crosses the bus once, however many segments are compared with it.
#[test]
fn a_table_stays_on_the_device() {
    with_driver("a_table_stays_on_the_device", || {
        let runner = Runner::new();
        let (rows, table) = (floats(&vectors(2000, 64, 1, 0)), floats(&vectors(6000, 64, 2, 0)));
        let config = json!({"k": 3});
        let stage = runner.with_table("top-k@1", &config, &rows.schema(), &table.schema()).unwrap();
        let segments = if std::env::var_os("FLOWC_LONG").is_some() { 1000 } else { 100 };
        for segment in 0..segments {
            let rows = rows.slice(segment * rows.num_rows() / segments, rows.num_rows() / segments);
            stage.rows(&rows, &table, rows.num_rows()).unwrap();
        }
        let up = runner.kernels.traffic()[0] as f64;
        let bytes = ((2000 + 6000) * 64 * 4) as f64;
        assert!(up < 1.05 * bytes, "{up} bytes for {bytes} of rows and table");
    });
}
