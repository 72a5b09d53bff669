//! Columns as they may come: nulls in any position, batches without rows, rows in other company. What comes back is held against the
//! columns themselves.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::sync::Arc;

use arrow_array::types::{Float32Type, Int32Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray,
    UInt32Array,
};
use flowc_runner::Batch;
use serde_json::json;

use support::{Runner, schema, values, with_driver};

/// Rows around the borders of words, where bitmaps may go wrong.
const ROWS: usize = 67;

/// Which rows are null: each alone, all, none, every second one, all but one.
fn masks() -> Vec<Vec<bool>> {
    let of = |is_null: &dyn Fn(usize) -> bool| (0..ROWS).map(is_null).collect::<Vec<_>>();
    let mut masks = vec![of(&|_| false), of(&|_| true), of(&|row| row % 2 == 0), of(&|row| row != 33)];
    masks.extend([0, 1, 30, 31, 32, 33, 63, 64, 65, 66].map(|null| of(&|row| row == null)));
    masks
}

/// The columns of a mask: what a kernel takes, of each width.
fn columns(is_null: &[bool]) -> [ArrayRef; 5] {
    let there = |row: usize| (!is_null[row]).then_some(row as i32);
    let rows = || 0..is_null.len();
    [
        Arc::new(Int32Array::from_iter(rows().map(|row| there(row).map(|row| row - 40)))),
        Arc::new(Int64Array::from_iter(rows().map(|row| there(row).map(|row| i64::from(row) << 33)))),
        Arc::new(Float32Array::from_iter(rows().map(|row| there(row).map(|row| row as f32 / 4.0)))),
        Arc::new(BooleanArray::from_iter(rows().map(|row| there(row).map(|row| row % 3 == 0)))),
        Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
            rows().map(|row| there(row).map(|row| [row, 2 * row].map(Some))),
            2,
        )),
    ]
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[test]
fn nulls_stay_in_their_rows_wherever_they_are() {
    with_driver("nulls_stay_in_their_rows_wherever_they_are", || {
        let runner = Runner::new();
        let copies = "struct Out { a2: i32, b2: i64, c2: f32, d2: bool, e2: vec2<i32> }\n\
                      fn row(a: i32, b: i64, c: f32, d: bool, e: vec2<i32>) -> Out { return Out(a, b, c, d, e); }\n";
        let told = "struct Out { n: u32 }\nfn row(a_valid: bool, c_valid: bool) -> Out {\n    \
                    return Out(u32(a_valid) * 2u + u32(c_valid));\n}\n";
        let written = "struct Out { m: i32, m_valid: bool }\n\
                       fn row(a: i32, a_valid: bool) -> Out { return Out(a, a_valid); }\n";
        for is_null in masks() {
            let all = columns(&is_null);
            let named: Vec<_> = NAMES.into_iter().zip(&all).collect();
            // Rows that are cut at odd places, out of a longer column.
            for (start, at_once) in [(0, ROWS), (0, 5), (3, 32)] {
                let all: Vec<ArrayRef> = all.iter().map(|column| column.slice(start, ROWS - start)).collect();
                let out = runner.stage(copies, &schema(&named)).rows(&all, at_once);
                for name in NAMES {
                    let [column, copy] =
                        [name.to_owned(), format!("{name}2")].map(|name| out.column_by_name(&name).unwrap());
                    assert_eq!(&masked(column), &masked(copy), "{name} from {start}, {at_once} at once: {is_null:?}");
                }
                let out = runner.stage(told, &schema(&named)).rows(&all, at_once);
                let expected: Vec<u32> = is_null[start..].iter().map(|is_null| if *is_null { 0 } else { 3 }).collect();
                assert_eq!(values::<UInt32Type>(&out, "n"), expected);
                let out = runner.stage(written, &schema(&named)).rows(&all, at_once);
                assert_eq!(out.column_by_name("m").unwrap(), &all[0]);
            }
        }
    });
}

/// A column without what lies under its nulls.
fn masked(column: &ArrayRef) -> Vec<Option<String>> {
    let shown = |row: usize| column.is_valid(row).then(|| format!("{:?}", column.slice(row, 1)));
    (0..column.len()).map(shown).collect()
}

#[test]
fn batches_without_rows_change_nothing() {
    with_driver("batches_without_rows_change_nothing", || {
        let runner = Runner::new();
        let x: ArrayRef = Arc::new(Int32Array::from_iter_values(0..10));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..10).map(|row| "ab".repeat(row))));
        let of = schema(&[("x", &x), ("t", &texts)]);
        let row = "struct Out { y: i32, keep: bool }\nfn row(x: i32) -> Out { return Out(x * 2, x != 4); }\n";
        let whole = "struct Batch { rows: u32 }\nvar<storage, read> x: array<i32>;\nvar<storage, read> t_offsets: array<u32>;\n\
                     var<storage, read_write> y: array<i32>;\nvar<uniform> batch: Batch;\n@compute @workgroup_size(64)\n\
                     fn main(@builtin(global_invocation_id) at: vec3<u32>) {\n    if at.x >= batch.rows { return; }\n    \
                     y[at.x] = x[batch.rows - 1u - at.x] + i32(t_offsets[at.x + 1u] - t_offsets[at.x]);\n}\n";
        let part = |start: usize, rows: usize| {
            Batch::new(rows, vec![Some(x.slice(start, rows)), Some(texts.slice(start, rows))])
        };
        for (text, picks) in [(row, true), (whole, false)] {
            let stage = runner.stage(text, &of);
            let given = |batches: Vec<Batch>| {
                let (outcome, kept) = stage.run(batches);
                outcome.unwrap();
                assert!(kept.closed);
                let schema = &stage.description.outputs[0].schema;
                let indices: Vec<usize> = (0..schema.fields().len()).collect();
                let batches: Vec<RecordBatch> =
                    kept.batches.iter().map(|(_, batch)| batch.project(schema.clone(), &indices).unwrap()).collect();
                arrow_select::concat::concat_batches(schema, &batches).unwrap()
            };
            let all = given(vec![part(0, 10)]);
            assert_eq!(all.num_rows(), if picks { 9 } else { 10 });
            let mixed = given(vec![part(0, 0), part(0, 4), part(4, 0), part(4, 0), part(4, 6), part(10, 0)]);
            assert_eq!(mixed, all);
            assert_eq!(given(vec![part(0, 0), part(0, 0)]).num_rows(), 0);
            assert_eq!(given(Vec::new()).num_rows(), 0);
        }
    });
}

/// The same row beside others, in another place, and alone: a float kernel gives it the same bits.
#[test]
fn a_row_gives_the_same_in_any_company() {
    with_driver("a_row_gives_the_same_in_any_company", || {
        let runner = Runner::new();
        let rows = 5000usize;
        let number = |row: usize| ((row * 7919) % 5000) as f32 * 0.37 - 900.0;
        let x: ArrayRef = Arc::new(Float32Array::from_iter_values((0..rows).map(number)));
        let text = "struct Out { y: f32 }\nfn row(x: f32) -> Out {\n    var sum = 0.0f;\n    \
                    for (var i = 1; i < 20; i++) { sum += sin(x / f32(i)) * x + 0.1f; }\n    return Out(sum);\n}\n";
        let of = schema(&[("x", &x)]);
        let bits = |columns: &[ArrayRef], at_once: usize| -> Vec<u32> {
            let out = runner.stage(text, &of).rows(columns, at_once);
            values::<Float32Type>(&out, "y").iter().map(|y| y.to_bits()).collect()
        };
        let all = bits(std::slice::from_ref(&x), rows);
        for at_once in [1, 7, 64, 4096] {
            let some = 300;
            assert_eq!(bits(&[x.slice(0, some)], at_once), all[..some], "{at_once} at once");
        }
        let order = UInt32Array::from_iter_values((0..rows as u32).map(|row| (row * 2731) % rows as u32));
        let shuffled = bits(&[arrow_select::take::take(&x, &order, None).unwrap()], rows);
        assert!(order.values().iter().zip(&shuffled).all(|(row, bits)| all[*row as usize] == *bits));
    });
}

/// A question finds the same rows, with the same bits, whoever asks beside it.
#[test]
fn the_nearest_rows_are_the_same_in_any_company() {
    with_driver("the_nearest_rows_are_the_same_in_any_company", || {
        let runner = Runner::new();
        let vectors = |rows: usize, seed: usize| -> RecordBatch {
            let value = move |row: usize, at: usize| {
                (((row * 31 + at * 17 + seed) * 2_654_435_761) >> 7 & 1023) as f32 / 512.0 - 1.0
            };
            let list = (0..rows).map(|row| Some((0..24).map(|at| Some(value(row, at))).collect::<Vec<_>>()));
            let column: ArrayRef = Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(list, 24));
            RecordBatch::try_from_iter([("vector", column)]).unwrap()
        };
        let (rows, table) = (vectors(257, 3), vectors(900, 11));
        let config = json!({"k": 5, "by": "cosine"});
        let stage = runner.with_table("top-k@1", &config, &rows.schema(), &table.schema()).unwrap();
        let all = stage.rows(&rows, &table, 257).unwrap();
        let order = UInt32Array::from_iter_values((0..257).map(|row| (row * 100) % 257));
        let shuffled = arrow_select::take::take_record_batch(&rows, &order).unwrap();
        let found = stage.rows(&shuffled, &table, 64).unwrap();
        assert_eq!(found, arrow_select::take::take_record_batch(&all, &order).unwrap());
        for row in [0, 31, 100, 256] {
            assert_eq!(stage.rows(&rows.slice(row, 1), &table, 1).unwrap(), all.slice(row, 1), "row {row} alone");
        }
    });
}

/// A kernel whose invocations race for an element is not taken for one that gives the same everywhere.
#[test]
fn a_kernel_that_races_is_no_exact_one() {
    with_driver("a_kernel_that_races_is_no_exact_one", || {
        let runner = Runner::new();
        let x: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let text = "struct Batch { rows: u32 }\nvar<storage, read> x: array<vec2<u32>>;\nvar<storage, read_write> y: array<u32>;\n\
                    var<uniform> batch: Batch;\n@compute @workgroup_size(64)\n\
                    fn main(@builtin(global_invocation_id) at: vec3<u32>) {\n    if at.x >= batch.rows { return; }\n    \
                    y[0] = x[at.x].x;\n}\n";
        let stage = runner.stage(text, &schema(&[("x", &x)]));
        let numbers = &stage.description.runner["numbers"];
        assert!(numbers.starts_with("device: "), "{numbers}");
    });
}
