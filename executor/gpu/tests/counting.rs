//! Kernels that count, `histogram@1` and `group-count@1` among them, beside plain loops over the same rows.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
    UInt64Array,
};
use arrow_schema::DataType;
use flowc_planner::plan::{Class, Code, KernelColumns};
use serde_json::{Value, json};
use support::{Counting, Runner, with_driver};

/// Numbers that look random, the same in each run.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state ^ (state >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8
    }
}

/// Values around zero, some of which are null.
fn values(rows: usize, spread: i64, seed: u64) -> Vec<Option<i64>> {
    let mut next = random(seed);
    (0..rows).map(|_| (!next().is_multiple_of(11)).then(|| (next() % (2 * spread as u64)) as i64 - spread)).collect()
}

/// Rows of values of a type, beside a column that no stage here reads.
fn rows(name: &str, values: &[Option<i64>], data_type: &DataType) -> RecordBatch {
    let wide: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    let column = arrow_cast::cast(&wide, data_type).unwrap();
    let other: ArrayRef = Arc::new(StringArray::from_iter_values(values.iter().map(|_| "text")));
    RecordBatch::try_from_iter_with_nullable([("other", other, false), (name, column, true)]).unwrap()
}

fn histogram<'a>(runner: &'a Runner, config: &Value, rows: &RecordBatch) -> Counting<'a> {
    runner.counting(Code::Std("histogram@1".to_owned()), config, &rows.schema()).unwrap()
}

fn group_count<'a>(runner: &'a Runner, key: &str, rows: &RecordBatch) -> Counting<'a> {
    let stage = runner.counting(Code::Std("group-count@1".to_owned()), &json!({"key": key}), &rows.schema()).unwrap();
    assert_eq!(stage.description.inputs[0].class, Class::Combining);
    stage
}

fn counts(rows: &RecordBatch) -> Vec<u64> {
    rows.column_by_name("count").unwrap().as_primitive::<UInt64Type>().values().to_vec()
}

/// What is below, in each range, above, and null.
fn expected(values: &[Option<i64>], from: i64, width: i64, bins: usize) -> Vec<u64> {
    let mut counts = vec![0; bins + 3];
    for value in values {
        let bin = match value {
            None => bins + 2,
            Some(value) if *value < from => 0,
            Some(value) => 1 + usize::try_from((value - from) / width).unwrap().min(bins),
        };
        counts[bin] += 1;
    }
    counts
}

#[test]
fn values_of_all_types_are_counted_in_ranges_as_by_a_plain_loop() {
    with_driver("values_of_all_types_are_counted_in_ranges_as_by_a_plain_loop", || {
        use DataType as D;
        let runner = Runner::new();
        for (data_type, spread, from) in [
            (D::Int8, 128, -40),
            (D::Int16, 1000, -300),
            (D::Int32, 1000, -300),
            (D::Int64, 1000, -300),
            (D::Date32, 1000, -300),
        ] {
            let values = values(5000, spread, 3);
            let rows = rows("value", &values, &data_type);
            let stage = histogram(&runner, &json!({"from": from, "width": 7, "bins": 10}), &rows);
            assert_eq!(counts(&stage.rows(&rows)), expected(&values, from, 7, 10), "{data_type}");
        }
        for data_type in [D::UInt8, D::UInt16, D::UInt32, D::UInt64] {
            let values: Vec<Option<i64>> =
                values(5000, 128, 4).into_iter().map(|value| value.map(|value| value + 128)).collect();
            let rows = rows("value", &values, &data_type);
            let stage = histogram(&runner, &json!({"from": 20, "width": 3, "bins": 50}), &rows);
            assert_eq!(counts(&stage.rows(&rows)), expected(&values, 20, 3, 50), "{data_type}");
        }
    });
}

#[test]
fn ranges_have_edges_of_the_type_and_reach_to_its_ends() {
    with_driver("ranges_have_edges_of_the_type_and_reach_to_its_ends", || {
        let runner = Runner::new();
        let all = [Some(i64::MIN), Some(-1), Some(0), Some(i64::MAX), None];
        let rows = rows("value", &all, &DataType::Int64);
        let stage = histogram(&runner, &json!({"from": i64::MIN, "width": 1u64 << 63, "bins": 1}), &rows);
        let made = stage.rows(&rows);
        assert_eq!(counts(&made), [0, 2, 2, 1]);
        let edge =
            |name: &str| made.column_by_name(name).unwrap().as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
        assert_eq!(edge("from"), [None, Some(i64::MIN), Some(0), None]);
        assert_eq!(edge("to"), [Some(i64::MIN), Some(0), None, None]);

        let large: ArrayRef = Arc::new(UInt64Array::from(vec![0, 1 << 63, u64::MAX]));
        let large = RecordBatch::try_from_iter([("value", large)]).unwrap();
        let stage = histogram(&runner, &json!({"from": u64::MAX - 10, "width": 5, "bins": 2}), &large);
        assert_eq!(counts(&stage.rows(&large)), [2, 0, 0, 1, 0], "the last value ends no range");

        let hour = 3_600_000_000i64;
        let times: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![0, hour - 1, hour, 30 * hour]).with_timezone("UTC"));
        let times = RecordBatch::try_from_iter([("at", times)]).unwrap();
        let stage = histogram(&runner, &json!({"value": "at", "width": hour, "bins": 24}), &times);
        let made = stage.rows(&times);
        assert_eq!(made.schema().field(0).data_type(), times.schema().field(0).data_type());
        let counted = counts(&made);
        assert_eq!((counted[1], counted[2], counted[25]), (2, 1, 1));
    });
}

fn groups(values: &[Option<i64>]) -> Vec<(Option<i64>, u64)> {
    let mut groups = BTreeMap::new();
    for value in values {
        *groups.entry(*value).or_insert(0) += 1;
    }
    groups.into_iter().collect()
}

fn grouped(rows: &RecordBatch) -> Vec<(Option<i64>, u64)> {
    let keys = arrow_cast::cast(rows.column(0), &DataType::Int64).unwrap();
    let keys: Vec<Option<i64>> = keys.as_primitive::<Int64Type>().iter().collect();
    keys.into_iter().zip(counts(rows)).collect()
}

#[test]
fn keys_of_all_types_are_counted_as_by_a_plain_loop() {
    with_driver("keys_of_all_types_are_counted_as_by_a_plain_loop", || {
        use DataType as D;
        let runner = Runner::new();
        for data_type in
            [D::Int8, D::Int16, D::Int32, D::Int64, D::Date32, D::Time64(arrow_schema::TimeUnit::Microsecond)]
        {
            let values = values(3000, 100, 5);
            let rows = rows("id", &values, &data_type);
            let made = group_count(&runner, "id", &rows).rows(&rows);
            assert_eq!(made.schema().field(0), rows.schema().field(1), "the key is as it was");
            assert_eq!(grouped(&made), groups(&values), "{data_type}");
        }
        let values: Vec<Option<i64>> = (0..1000).map(|row| (row % 7 != 0).then_some(row % 2)).collect();
        let flags: ArrayRef =
            Arc::new(values.iter().map(|value| value.map(|value| value == 1)).collect::<BooleanArray>());
        let flags = RecordBatch::try_from_iter([("id", flags)]).unwrap();
        assert_eq!(grouped(&group_count(&runner, "id", &flags).rows(&flags)), groups(&values));
        let large: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 0, 1 << 63, u64::MAX]));
        let large = RecordBatch::try_from_iter([("id", large)]).unwrap();
        let made = group_count(&runner, "id", &large).rows(&large);
        assert_eq!(made.column(0).as_primitive::<UInt64Type>().values(), &[0, 1 << 63, u64::MAX]);
        assert_eq!(counts(&made), [1, 1, 2]);
    });
}

/// Every row a group of its own, more of them than a block has rows.
#[test]
fn there_may_be_as_many_groups_as_rows() {
    with_driver("there_may_be_as_many_groups_as_rows", || {
        let runner = Runner::new();
        let keys: ArrayRef =
            Arc::new(Int64Array::from_iter_values((0..70_000).map(|row| (row * 7919) % 70_000 - 35_000)));
        let rows = RecordBatch::try_from_iter([("key", keys)]).unwrap();
        let made = group_count(&runner, "key", &rows).rows(&rows);
        let keys = made.column(0).as_primitive::<Int64Type>().values();
        assert!(keys.iter().copied().eq(-35_000..35_000) && counts(&made).iter().all(|count| *count == 1));
    });
}

/// The hash by which a row looks for its slot, as the pass over groups has it.
fn mixed(word: u32) -> u32 {
    let word = (word ^ (word >> 16)).wrapping_mul(0x85eb_ca6b);
    let word = (word ^ (word >> 13)).wrapping_mul(0xc2b2_ae35);
    word ^ (word >> 16)
}

/// Keys that were chosen so that all of them look for the same slot: the processor numbers these groups.
#[test]
fn keys_that_collide_on_purpose_are_counted_all_the_same() {
    with_driver("keys_that_collide_on_purpose_are_counted_all_the_same", || {
        let runner = Runner::new();
        let keys: Vec<i32> =
            (0u32..).filter(|key| mixed(mixed(*key)) & 4095 == 17).take(1500).map(u32::cast_signed).collect();
        let twice: ArrayRef = Arc::new(Int32Array::from_iter_values(keys.iter().chain(&keys[..500]).copied()));
        let rows = RecordBatch::try_from_iter([("key", twice)]).unwrap();
        let made = group_count(&runner, "key", &rows).rows(&rows);
        assert_eq!(made.num_rows(), 1500);
        assert_eq!(
            (counts(&made).iter().sum::<u64>(), counts(&made).iter().filter(|count| **count == 2).count()),
            (2000, 500)
        );
    });
}

/// A stage over rows that are cut into segments and batches, with partials that are merged in some order.
fn in_pieces(stage: &Counting<'_>, rows: &RecordBatch, next: &mut impl FnMut() -> u64) -> RecordBatch {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < rows.num_rows() {
        let segment = (1 + next() as usize % 900).min(rows.num_rows() - start);
        parts.push(stage.part(&rows.slice(start, segment), 1 + next() as usize % 300).unwrap());
        start += segment;
    }
    while parts.len() > 3 {
        let at = next() as usize % (parts.len() - 2);
        let merged = stage.merged(&parts[at..at + 3]);
        parts.splice(at..at + 3, [merged]);
        let other = next() as usize % parts.len();
        parts.swap(0, other);
    }
    stage.finished(&parts)
}

#[test]
fn cuts_and_the_order_of_merges_show_nowhere() {
    with_driver("cuts_and_the_order_of_merges_show_nowhere", || {
        let runner = Runner::new();
        let values = values(4000, 300, 6);
        let rows = rows("value", &values, &DataType::Int32);
        let mut next = random(9);
        let config = json!({"from": -200, "width": 40, "bins": 10});
        for stage in [histogram(&runner, &config, &rows), group_count(&runner, "value", &rows)] {
            let whole = stage.rows(&rows);
            for _ in 0..12 {
                assert_eq!(in_pieces(&stage, &rows, &mut next), whole);
            }
        }
    });
}

/// On a device invocations come in any order, and slots of the table go to whichever is first.
#[test]
fn twenty_runs_are_equal() {
    with_driver("twenty_runs_are_equal", || {
        let runner = Runner::new();
        let count = if std::env::var_os("FLOWC_LONG").is_some() { 1_000_000 } else { 50_000 };
        let rows = rows("value", &values(count, 5000, 7), &DataType::Int64);
        let config = json!({"from": -4000, "width": 100, "bins": 80});
        for stage in [histogram(&runner, &config, &rows), group_count(&runner, "value", &rows)] {
            let first = stage.part(&rows, count).unwrap();
            for _ in 1..20 {
                assert_eq!(stage.part(&rows, count).unwrap(), first);
            }
        }
    });
}

#[test]
fn without_rows_there_are_all_ranges_and_no_groups() {
    with_driver("without_rows_there_are_all_ranges_and_no_groups", || {
        let runner = Runner::new();
        let rows = rows("value", &[], &DataType::Int32);
        let ranges = histogram(&runner, &json!({"width": 10, "bins": 2}), &rows);
        assert_eq!(ranges.part(&rows, 1).unwrap().num_rows(), 0);
        assert_eq!(counts(&ranges.finished(&[])), [0; 5]);
        assert_eq!(counts(&ranges.rows(&rows)), [0; 5]);
        let groups = group_count(&runner, "value", &rows);
        assert_eq!((groups.finished(&[]).num_rows(), groups.rows(&rows).num_rows()), (0, 0));
    });
}

const EXTREMES: &str = "struct Batch { rows: u32 }
var<storage, read> group: array<u32>;
var<storage, read> x: array<i32>;
var<storage, read_write> least: array<atomic<i32>>;
var<storage, read_write> most: array<atomic<i32>>;
var<storage, read_write> sum: array<atomic<u32>>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    let row = at.x;
    if row >= batch.rows { return; }
    atomicMin(&least[group[row]], x[row]);
    atomicMax(&most[group[row]], x[row]);
    atomicAdd(&sum[group[row]], u32(x[row]));
}
";

#[test]
fn an_authors_kernel_counts_by_groups() {
    with_driver("an_authors_kernel_counts_by_groups", || {
        let runner = Runner::new();
        let (mut next, count) = (random(11), 3000);
        let id: ArrayRef = Arc::new(UInt32Array::from_iter_values((0..count).map(|row| (row * row) % 17)));
        let x: ArrayRef = Arc::new(Int32Array::from_iter_values((0..count).map(|_| next() as i32)));
        let rows = RecordBatch::try_from_iter([("id", id.clone()), ("x", x.clone())]).unwrap();
        let columns = KernelColumns { groups: Some("id".to_owned()), ..KernelColumns::default() };
        let stage = runner.counting_text(EXTREMES, columns, &rows.schema());
        let made = stage.rows(&rows);
        let mut known: BTreeMap<u32, (i32, i32, u32)> = BTreeMap::new();
        let pairs = id.as_primitive::<UInt32Type>().values().iter().zip(x.as_primitive::<Int32Type>().values());
        for (id, x) in pairs {
            let of = known.entry(*id).or_insert((i32::MAX, i32::MIN, 0));
            *of = (of.0.min(*x), of.1.max(*x), of.2.wrapping_add(x.cast_unsigned()));
        }
        assert_eq!(
            made.column(0).as_primitive::<UInt32Type>().values(),
            &known.keys().copied().collect::<Vec<_>>()[..]
        );
        let found = |at: usize| made.column(at).as_primitive::<Int32Type>().values().to_vec();
        assert_eq!(found(1), known.values().map(|of| of.0).collect::<Vec<_>>());
        assert_eq!(found(2), known.values().map(|of| of.1).collect::<Vec<_>>());
        assert_eq!(
            made.column(3).as_primitive::<UInt32Type>().values(),
            &known.values().map(|of| of.2).collect::<Vec<_>>()[..]
        );
        assert_eq!(in_pieces(&stage, &rows, &mut next), made);
    });
}

const LENGTHS: &str = "struct Batch { rows: u32 }
var<storage, read> y: array<u32>;
var<storage, read_write> seen: array<atomic<u32>, 8>;
var<uniform> batch: Batch;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    atomicAdd(&seen[y[at.x]], 1u);
}
";

/// A kernel that picks and writes, and one that counts what is left: on the device, and apart.
#[test]
fn counting_after_another_kernel_is_the_same_together_and_apart() {
    with_driver("counting_after_another_kernel_is_the_same_together_and_apart", || {
        let runner = Runner::new();
        let x: ArrayRef = Arc::new(Int32Array::from_iter_values(0..5000));
        let schema = support::schema(&[("x", &x)]);
        let picks =
            "struct Out { y: u32, keep: bool }\nfn row(x: i32) -> Out { return Out(u32(x) % 8u, x % 3 != 0); }\n";
        let first = runner.stage(picks, &schema);
        let counting = runner.counting_text(LENGTHS, KernelColumns::default(), &first.description.outputs[0].schema);
        let apart = counting.after(&first, std::slice::from_ref(&x), false);
        let before = runner.kernels.traffic();
        let together = counting.after(&first, std::slice::from_ref(&x), true);
        let moved = [0, 1].map(|way| runner.kernels.traffic()[way] - before[way]);
        assert_eq!(together, apart);
        let seen: Vec<u32> = together.column_by_name("seen").unwrap().as_primitive::<UInt32Type>().values().to_vec();
        let known = (0..8).map(|y| (0..5000).filter(|x| x % 3 != 0 && x % 8 == y).count() as u32);
        assert_eq!(seen, known.collect::<Vec<_>>());
        assert!(moved[1] < 2000, "{moved:?}: a mask and eight words come back, and no column");
    });
}

#[test]
fn an_element_that_is_not_there_is_told_with_the_row() {
    with_driver("an_element_that_is_not_there_is_told_with_the_row", || {
        let runner = Runner::new();
        let y: ArrayRef = Arc::new(UInt32Array::from(vec![1, 7, 3, 8, 9]));
        let rows = RecordBatch::try_from_iter([("y", y)]).unwrap();
        let stage = runner.counting_text(LENGTHS, KernelColumns::default(), &rows.schema());
        let told = stage.part(&rows, 5).unwrap_err().to_string();
        assert!(told.contains("in row 4 an index of `seen` is out of range in line 8"), "{told}");
        let told = stage.part(&rows, 1).unwrap_err().to_string();
        assert!(told.contains("in row 4 "), "{told}");
    });
}

/// What is not proven to be the same in any cut is refused when it is planned.
#[test]
fn floats_choose_bins_by_the_device() {
    with_driver("floats_choose_bins_by_the_device", || {
        let runner = Runner::new();
        let text = LENGTHS.replace("y: array<u32>", "y: array<f32>").replace("y[at.x]", "u32(y[at.x] * 2.0)");
        let y: ArrayRef =
            Arc::new(arrow_array::Float32Array::from_iter_values((0..1000).map(|row| (row % 40) as f32 / 10.0)));
        let rows = RecordBatch::try_from_iter([("y", y)]).unwrap();
        let stage = runner.counting_text(&text, KernelColumns::default(), &rows.schema());
        assert!(
            stage.description.runner.values().any(|value| value.starts_with("device: ")),
            "{:?}",
            stage.description.runner
        );
        let mut next = random(3);
        assert_eq!(in_pieces(&stage, &rows, &mut next), stage.rows(&rows));
    });
}

/// Invocations past the last row are as many as blocks and workgroups make them: they never count.
#[test]
fn counts_are_the_same_however_rows_are_cut_and_for_any_workgroup() {
    with_driver("counts_are_the_same_however_rows_are_cut_and_for_any_workgroup", || {
        let runner = Runner::new();
        let y: ArrayRef = Arc::new(UInt32Array::from_iter_values((0..1000).map(|row| row * row % 7)));
        let rows = RecordBatch::try_from_iter([("y", y.clone())]).unwrap();
        let bins = |of: &RecordBatch| of.column_by_name("seen").unwrap().as_primitive::<UInt32Type>().values().to_vec();
        let value = |row: u32| y.as_primitive::<UInt32Type>().value(row as usize);
        let by_value: Vec<u32> = (0..8).map(|bin| (0..1000).filter(|row| value(*row) == bin).count() as u32).collect();
        let mut next = random(21);
        for (guard, bin, known) in [
            ("if at.x >= batch.rows { return; }", "y[at.x]", by_value.clone()),
            ("var v = 0u; if at.x < batch.rows { v = y[at.x]; }", "v", by_value),
            ("if at.x > batch.rows { return; }", "3u", vec![0, 0, 0, 1000, 0, 0, 0, 0]),
            ("", "0", vec![1000, 0, 0, 0, 0, 0, 0, 0]),
        ] {
            for workgroup in [1, 48, 256] {
                let text = LENGTHS
                    .replace("if at.x >= batch.rows { return; }", guard)
                    .replace("seen[y[at.x]]", &format!("seen[{bin}]"))
                    .replace("workgroup_size(64)", &format!("workgroup_size({workgroup})"));
                let stage = runner.counting_text(&text, KernelColumns::default(), &rows.schema());
                assert_eq!(bins(&stage.rows(&rows)), known, "{text}");
                assert_eq!(bins(&in_pieces(&stage, &rows, &mut next)), known, "{text}");
            }
        }
    });
}

/// Each piece of a table adds to the same words of 32 bits: a block has fewer rows where there are more pieces.
#[test]
fn wide_sums_beside_a_table_in_pieces_miss_no_wrap() {
    with_driver("wide_sums_beside_a_table_in_pieces_miss_no_wrap", || {
        let text = "struct Batch { rows: u32 }
struct Table { rows: u32, start: u32, end: u32 }
const PIECE = 1u;
var<storage, read> y: array<u32>;
var<storage, read> table_u: array<u32>;
var<storage, read_write> seen: array<atomic<u32>, 2>;
var<uniform> batch: Batch;
var<uniform> table: Table;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
    if at.x >= batch.rows { return; }
    atomicAdd(&seen[y[at.x]], 4095u);
}
";
        let runner = Runner::new();
        let count = 1u32 << 20;
        let y: ArrayRef = Arc::new(UInt32Array::from_iter_values((0..count).map(|row| u32::from(row % 1024 == 0))));
        let rows = RecordBatch::try_from_iter([("y", y)]).unwrap();
        let gives = [("seen".to_owned(), DataType::UInt64)].into();
        let columns = KernelColumns { gives, ..KernelColumns::default() };
        for pieces in [1, 2, 5] {
            let u: ArrayRef = Arc::new(UInt32Array::from(vec![7; pieces]));
            let table = RecordBatch::try_from_iter([("u", u)]).unwrap();
            let stage = runner.counting_beside(text, columns.clone(), &rows, &table);
            let made = stage.rows(&rows);
            let seen = made.column_by_name("seen").unwrap().as_primitive::<UInt64Type>();
            let all = 4095 * u64::from(count) * pieces as u64;
            assert_eq!(seen.values(), &[all - all / 1024, all / 1024], "{pieces}");
        }
    });
}
