//! Kernels on a Vulkan driver: right results whatever the batches, and an error where there is none.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::sync::Arc;

use arrow_array::types::{Float32Type, Int32Type, Int64Type, UInt8Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int32Array, Int64Array, StringArray, UInt8Array,
    UInt32Array, UInt64Array,
};
use flowc_planner::plan::{Class, Limits};
use flowc_runner::Batch;
use support::{Runner, Stage, schema, values, with_driver};

fn numbers(rows: u32) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values((0..rows).map(|row| row.wrapping_mul(2_654_435_761))))
}

fn module(body: &str) -> String {
    format!(
        "struct Batch {{ rows: u32 }}\nvar<storage, read> x: array<u32>;\nvar<storage, read_write> y: array<u32>;\n\
         var<uniform> batch: Batch;\n@compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) at: vec3<u32>) {{\n\
         if at.x >= batch.rows {{ return; }}\n{body}\n}}\n"
    )
}

fn over_numbers<'a>(runner: &'a Runner, text: &str) -> Stage<'a> {
    runner.stage(text, &schema(&[("x", &numbers(1))]))
}

#[test]
fn rows_do_not_depend_on_their_batches() {
    with_driver("rows_do_not_depend_on_their_batches", || {
        let runner = Runner::new();
        let text = "struct Out { y: f32, keep: bool }\nfn row(x: u32) -> Out {\n    let f = f32(x) * 0.37;\n    \
                    return Out(sqrt(f) / 3.0 + f * 0.1, x % 3u != 0u);\n}\n";
        let stage = over_numbers(&runner, text);
        let columns = [numbers(20_000)];
        let all = stage.rows(&columns, 20_000);
        let kept = (0..20_000u32).map(|row| row.wrapping_mul(2_654_435_761)).filter(|x| x % 3 != 0);
        assert_eq!(values::<UInt32Type>(&all, "x"), kept.collect::<Vec<_>>());
        for at_once in [1777, 8192] {
            assert_eq!(stage.rows(&columns, at_once), all, "{at_once} rows at once");
        }
        for at_once in [1, 7] {
            let few = [columns[0].slice(0, 300)];
            assert_eq!(stage.rows(&few, at_once), stage.rows(&few, 300), "{at_once} rows at once");
        }
        let backwards: ArrayRef = Arc::new(UInt32Array::from_iter_values((0..300).rev()));
        let forwards: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..300));
        let mut turned = values::<Float32Type>(&stage.rows(&[backwards], 300), "y");
        turned.reverse();
        assert_eq!(turned, values::<Float32Type>(&stage.rows(&[forwards], 7), "y"), "in other company");
    });
}

#[test]
fn loops_are_right_or_told_not_to_end() {
    with_driver("loops_are_right_or_told_not_to_end", || {
        let runner = Runner::new();
        let counted = |count: u32| format!("for (var i = 0u; i < {count}u; i++) {{ c += i ^ x[at.x]; }}");
        let nested = |outer: u32, inner: u32| {
            format!(
                "for (var j = 0u; j < {outer}u; j++) {{ for (var i = 0u; i < {inner}u; i++) {{ c += i ^ x[at.x]; }} }}"
            )
        };
        let text = |body: &str| module(&format!("var c = 0u;\n{body}\ny[at.x] = c;"));
        let x: ArrayRef = Arc::new(UInt32Array::from(vec![1, 2, 3]));
        let right = over_numbers(&runner, &text(&counted(50_000))).rows(std::slice::from_ref(&x), 3);
        let expected = [1u32, 2, 3].map(|x| (0..50_000u32).fold(0u32, |c, i| c.wrapping_add(i ^ x)));
        assert_eq!(values::<UInt32Type>(&right, "y"), expected);
        for body in [counted(70_000), nested(300, 300), counted(40_000).repeat(2), "loop { c += 1u; }".to_owned()] {
            let error = over_numbers(&runner, &text(&body)).error(std::slice::from_ref(&x)).to_string();
            assert!(error.contains("in row 1 a loop does not end in line 9"), "{error}");
        }
    });
}

/// Loops whose rounds a driver might count ahead, and count wrongly: where numbers wrap, or floats stop growing. What `y` is, or None where
/// a loop has more rounds than it may.
const LOOPS: [(&str, Option<u32>); 24] = [
    ("var i = 0u; loop { i++; if i == 0u { break; } } y = i;", None),
    ("var i = 10u; loop { i++; if i == 10u { break; } } y = i;", None),
    ("var i = 10u; loop { i++; if i == 5u { break; } } y = i;", None),
    ("var i = 0u; loop { i--; if i == 0u { break; } } y = i;", None),
    ("var i = 1u; loop { i += 2u; if i == 0u { break; } } y = i;", None),
    ("var i = 0i; loop { i++; if i == 0i { break; } y++; }", None),
    ("var i = 0u; loop { i++; if i == 0u { break; } y++; if y == 9u { break; } }", Some(9)),
    ("var i = 16777216.0f; loop { if i >= 16777220.0f { break; } i += 1.0f; y++; }", None),
    ("var i = vec2<u32>(3u, 0u); loop { i.y++; if i.y == 0u { break; } y++; }", None),
    ("var i = array<u32, 2>(3u, 0u); loop { i[1]++; if i[1] == 0u { break; } y++; }", None),
    ("var i = Pair(3u, 0u); loop { i.b++; if i.b == 0u { break; } y++; }", None),
    ("var i = 0li; loop { i += 0x4000000000000000li; if i == 0li { break; } y++; }", Some(3)),
    ("var i = 0u; loop { next(&i); if i == 0u { break; } y++; }", None),
    ("p = 0u; loop { p++; if p == 0u { break; } y++; }", None),
    ("p = 0u; loop { more(); if p == 0u { break; } y++; }", None),
    ("var i = 0u; to_zero(&i); y = i;", None),
    ("for (var i = 3u; i >= 0u; i--) { y++; }", None),
    ("for (var i = 0u; i <= 4294967295u; i++) { y++; }", None),
    ("for (var i = 2147483647i; i > 0i; i += 2i) { y++; }", Some(1)),
    ("for (var i = 0xfffffff0u; i >= 16u; i += 4u) { y++; }", Some(4)),
    ("for (var i = 1u; i != 0u; i = i << 1u) { y++; }", Some(32)),
    ("for (var i = 255u; i > 0u; i = i >> 1u) { y++; }", Some(8)),
    ("for (var i = 0i; i < 70i; i += 7i) { if i == 35i { continue; } y += u32(i); }", Some(280)),
    ("var i = 0u; loop { if y > 100u { break; } y += 3u; continuing { i++; break if i == 0u; } }", Some(102)),
];

#[test]
fn loops_that_drivers_may_count_ahead_are_right_or_told() {
    with_driver("loops_that_drivers_may_count_ahead_are_right_or_told", || {
        let runner = Runner::new();
        for (body, expected) in LOOPS {
            let text = format!(
                "struct Out {{ y: u32 }}\nstruct Pair {{ a: u32, b: u32 }}\nvar<private> p: u32;\nfn next(i: ptr<function, u32>) {{ *i += 1u; }}\n\
                 fn more() {{ p++; }}\nfn to_zero(i: ptr<function, u32>) {{ loop {{ *i += 1u; if *i == 0u {{ break; }} }} }}\n\
                 fn row(x: u32) -> Out {{\n    var y = 0u;\n    {body}\n    return Out(y);\n}}\n"
            );
            let x = numbers(1);
            let stage = runner.stage(&text, &schema(&[("x", &x)]));
            match expected {
                Some(expected) => assert_eq!(values::<UInt32Type>(&stage.rows(&[x], 1), "y"), [expected], "{body}"),
                None => {
                    let error = stage.error(&[x]).to_string();
                    assert!(error.contains("in row 1 a loop does not end in line "), "{body}: {error}");
                }
            }
        }
    });
}

/// A driver for the CPU counts iterations for all rows that it computes together, and those of loops that none of them enters. Each of these
/// kernels takes fewer than it may in each row, and more in all.
#[test]
fn loops_that_a_driver_ends_for_several_rows_together_are_told() {
    with_driver("loops_that_a_driver_ends_for_several_rows_together_are_told", || {
        let runner = Runner::new();
        let never = "for (var j = 1u; j >= 20u; j += 2u) { for (var l = 10u; l < 10u; l += 2u) { y += 3u; } }";
        let ended = [
            format!("for (var i = 0u; i < 29000u; i++) {{ {never} y += i; }}"),
            "for (var i = 0u; i < 8u; i++) { if i == n % 8u { for (var j = 0u; j < 20000u; j++) { y += j; } } }".to_owned(),
            "if n % 2u == 0u { for (var i = 0u; i < 50000u; i++) { y += i; } } else { for (var j = 0u; j < 50000u; j++) { y ^= j; } }"
                .to_owned(),
        ];
        let text = |body: &str| {
            format!(
                "struct Out {{ y: u32 }}\nfn row(n: u32) -> Out {{\n    var y = 0u;\n    {body}\n    return Out(y);\n}}\n"
            )
        };
        let n: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..16));
        let of = schema(&[("n", &n)]);
        for body in &ended {
            let error = runner.stage(&text(body), &of).error(std::slice::from_ref(&n)).to_string();
            assert!(error.contains("loops of rows that are computed together take more iterations"), "{body}: {error}");
        }
        let right =
            text("for (var i = 0u; i < 8u; i++) { if i == n % 8u { for (var j = 0u; j < 2000u; j++) { y += j; } } }");
        let out = runner.stage(&right, &of).rows(std::slice::from_ref(&n), 16);
        assert_eq!(values::<UInt32Type>(&out, "y"), [1999 * 1000; 16]);
        // A module that returns early in some rows is asked all the same.
        let early = module(&format!(
            "var y0 = 0u;\nfor (var i = 0u; i < 29000u; i++) {{ {} y0 += i; }}\ny[at.x] = y0;\nif x[at.x] > 0u {{ return; }}\ny[at.x] = 1u;",
            never.replace("y += 3u", "y0 += 3u")
        ));
        let error = over_numbers(&runner, &early).error(&[numbers(16)]).to_string();
        assert!(error.contains("loops of rows that are computed together"), "{error}");
    });
}

#[test]
fn an_index_past_the_last_row_is_told_with_row_and_line() {
    with_driver("an_index_past_the_last_row_is_told_with_row_and_line", || {
        let runner = Runner::new();
        let stage = over_numbers(&runner, &module("y[at.x] = x[at.x + 1u];"));
        assert_eq!(stage.description.inputs[0].class, Class::PerSegment, "it reads another row");
        let error = stage.error(&[numbers(100)]);
        assert!(error.to_string().contains("in row 100 an index of `x` is out of range in line 8"), "{error}");
        assert!(error.to_string().contains("kernel.wgsl:8:"), "{error}");
        assert_eq!(error.rows.unwrap().rows, 99..100);
    });
}

#[test]
fn what_a_cpu_driver_can_not_compile_is_refused_and_the_next_kernel_runs() {
    with_driver("what_a_cpu_driver_can_not_compile_is_refused_and_the_next_kernel_runs", || {
        let runner = Runner::new();
        let large = "var t: array<u32, 1024>;\nfor (var i = 0u; i < 1024u; i++) { t[i] = i * x[at.x]; }\n\
                     y[at.x] = t[x[at.x] % 1024u];";
        let error = over_numbers(&runner, &module(large)).error(&[numbers(3)]).to_string();
        assert!(error.contains("a variable of the kernel has 4KiB; CPU drivers as `llvmpipe"), "{error}");
        let next = over_numbers(&runner, &module("y[at.x] = x[at.x] + 1u;")).rows(&[numbers(3)], 3);
        assert_eq!(values::<UInt32Type>(&next, "y")[0], 1);
    });
}

#[test]
fn every_width_and_number_of_rows_comes_back() {
    with_driver("every_width_and_number_of_rows_comes_back", || {
        let runner = Runner::new();
        let text = "struct Out { a8: u32, a32: i32, a64: i64, flag: bool, list: vec3<i32>, f: f32 }\n\
                    fn row(u8_: u32, i32_: i32, i64_: i64, flag_: bool, list_: vec3<i32>, f_: f32) -> Out {\n    \
                    return Out(u8_, i32_, i64_, flag_, list_, f_);\n}\n";
        for rows in [1, 3, 4, 31, 33, 257] {
            let list = (0..rows).map(|row| Some([row, -row, row * 2].map(Some).to_vec()));
            let columns: [ArrayRef; 6] = [
                Arc::new(UInt8Array::from_iter_values((0..rows).map(|row| row as u8))),
                Arc::new(Int32Array::from_iter_values((0..rows).map(|row| row - 100))),
                Arc::new(Int64Array::from_iter_values((0..rows).map(|row| i64::from(row) << 40))),
                Arc::new(BooleanArray::from_iter((0..rows).map(|row| Some(row % 3 == 1)))),
                Arc::new(FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(list, 3)),
                Arc::new(Float32Array::from_iter_values((0..rows).map(|row| row as f32 / 8.0))),
            ];
            let names = ["u8_", "i32_", "i64_", "flag_", "list_", "f_"];
            let named: Vec<_> = names.into_iter().zip(&columns).collect();
            let out = runner.stage(text, &schema(&named)).rows(&columns, 100);
            let narrow = values::<UInt8Type>(&out, "u8_");
            let wide: Vec<u32> = narrow.into_iter().map(u32::from).collect();
            assert_eq!(values::<UInt32Type>(&out, "a8"), wide);
            assert_eq!(values::<Int32Type>(&out, "a32"), values::<Int32Type>(&out, "i32_"));
            assert_eq!(values::<Int64Type>(&out, "a64"), values::<Int64Type>(&out, "i64_"));
            assert_eq!(values::<Float32Type>(&out, "f"), values::<Float32Type>(&out, "f_"));
            assert_eq!(out.column_by_name("flag"), out.column_by_name("flag_"));
            let items = |name| {
                let list = out.column_by_name(name).unwrap().as_any().downcast_ref::<FixedSizeListArray>();
                list.unwrap().values().to_data()
            };
            assert_eq!(items("list").buffers(), items("list_").buffers());
        }
        let (outcome, kept) = over_numbers(&runner, &module("y[at.x] = 1u;")).run(Vec::new());
        outcome.unwrap();
        assert!(kept.batches.is_empty() && kept.closed, "no rows, no dispatch");
    });
}

#[test]
fn nulls_stay_nulls_and_are_not_seen() {
    with_driver("nulls_stay_nulls_and_are_not_seen", || {
        let runner = Runner::new();
        let x: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(0), Some(4)]));
        let text = "struct Out { y: i32 }\nfn row(x: i32) -> Out { return Out(12 / x); }\n";
        let out = runner.stage(text, &schema(&[("x", &x)])).rows(std::slice::from_ref(&x), 4);
        let y = Int32Array::from(vec![Some(12), None, Some(12), Some(3)]);
        assert_eq!(out.column_by_name("y").unwrap().as_any().downcast_ref::<Int32Array>(), Some(&y));
        let text = "struct Out { y: i32, y_valid: bool }\n\
                    fn row(x: i32, x_valid: bool) -> Out { return Out(x + 1, !x_valid || x == 4); }\n";
        let out = runner.stage(text, &schema(&[("x", &x)])).rows(std::slice::from_ref(&x), 4);
        let y = Int32Array::from(vec![None, Some(1), None, Some(5)]);
        assert_eq!(out.column_by_name("y").unwrap().as_any().downcast_ref::<Int32Array>(), Some(&y));
        let nulls = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None].to_vec())], 2);
        let lists: ArrayRef = Arc::new(nulls);
        let text = "struct Out { y: i32 }\nfn row(x: vec2<i32>) -> Out { return Out(x.x); }\n";
        let error = runner.stage(text, &schema(&[("x", &lists)])).error(&[lists]).to_string();
        assert!(error.contains("in row 1 a value in the list `x` is null"), "{error}");
    });
}

#[test]
fn every_nan_is_the_same_and_texts_are_read() {
    with_driver("every_nan_is_the_same_and_texts_are_read", || {
        let runner = Runner::new();
        let odd: ArrayRef = Arc::new(Float32Array::from(vec![f32::from_bits(0xffc1_2345), -1.0, 4.0]));
        let text = "struct Out { y: f32 }\nfn row(x: f32) -> Out { return Out(sqrt(x) * 1.0); }\n";
        let out = runner.stage(text, &schema(&[("x", &odd)])).rows(&[odd], 3);
        let bits: Vec<u32> = values::<Float32Type>(&out, "y").iter().map(|y| y.to_bits()).collect();
        assert_eq!(bits, [f32::NAN.to_bits(), f32::NAN.to_bits(), 2f32.to_bits()]);
        let text = module("y[at.x] = x_offsets[at.x + 1u] - x_offsets[at.x] + (x_bytes[0] & 255u);").replace(
            "var<storage, read> x: array<u32>;",
            "var<storage, read> x_offsets: array<u32>;\nvar<storage, read> x_bytes: array<u32>;",
        );
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["", "ab", "cdefg"]));
        let out = runner.stage(&text, &schema(&[("x", &texts)])).rows(&[texts], 2);
        assert_eq!(values::<UInt32Type>(&out, "y"), [97, 99, 102]);
    });
}

#[test]
fn what_an_adapter_does_not_take_is_cut_or_told() {
    with_driver("what_an_adapter_does_not_take_is_cut_or_told", || {
        let runner = Runner::new();
        let small = |body: &str| module(body).replace("workgroup_size(64)", "workgroup_size(1)");
        let cut = over_numbers(&runner, &small("y[at.x] = x[at.x] + 1u;")).rows(&[numbers(70_000)], 70_000);
        assert_eq!(values::<UInt32Type>(&cut, "y")[69_999], 69_999u32.wrapping_mul(2_654_435_761) + 1);
        let whole = over_numbers(&runner, &small("y[at.x] = x[batch.rows - 1u - at.x];"));
        let error = whole.error(&[numbers(70_000)]).to_string();
        assert!(error.contains("a block has 70000 rows") && error.contains("a larger `@workgroup_size`"), "{error}");
        let wide: ArrayRef = Arc::new(UInt64Array::from(vec![0; (128 << 20) / 8 + 1]));
        let text = module("y[at.x] = x[batch.rows - 1u - at.x].x;").replace("x: array<u32>", "x: array<vec2<u32>>");
        let text = text.replace("workgroup_size(64)", "workgroup_size(1024)");
        let error = runner.stage(&text, &schema(&[("x", &wide)])).error(&[wide]).to_string();
        assert!(error.contains("column `x` has 134217736B in 16777217 rows that go together"), "{error}");
    });
}

#[test]
fn a_kernel_that_takes_too_long_is_stopped() {
    with_driver("a_kernel_that_takes_too_long_is_stopped", || {
        let runner = Runner::new();
        let text = module("var c = 0u;\nfor (var i = 0u; i < 59000u; i++) { c = c * 3u + i; }\ny[at.x] = c + x[at.x];");
        let limits = Limits { timeout_ms: Some(1), ..Limits::default() };
        let config = serde_json::json!({});
        let stage = runner.stage_with(&text, &schema(&[("x", &numbers(1))]), config, limits);
        let error = stage.error(&[numbers(200_000)]).to_string();
        assert!(error.starts_with("timed out after 1ms"), "{error}");
    });
}

/// What a boundary is for: what was pushed is out, though it was too little for a block.
#[test]
fn a_boundary_brings_out_what_was_pushed() {
    with_driver("a_boundary_brings_out_what_was_pushed", || {
        let runner = Runner::new();
        let rows_out = |text: &str| {
            let kept = Arc::new(std::sync::Mutex::new(flowc_runner::conformance::Kept::default()));
            let keeper = flowc_runner::conformance::Keeper { kept: kept.clone(), fail_at: usize::MAX };
            let mut instance = over_numbers(&runner, text).open(keeper);
            instance.push(0, Batch::new(3, vec![Some(numbers(3))])).unwrap();
            instance.boundary().unwrap();
            let kept = kept.lock().unwrap();
            (kept.batches.iter().map(|(_, batch)| batch.rows()).sum::<usize>(), kept.boundaries)
        };
        assert_eq!(rows_out(&module("y[at.x] = x[at.x];")), (3, 1));
        assert_eq!(rows_out(&module("y[at.x] = x[batch.rows - 1u - at.x];")), (0, 1), "it waits for its segment");
    });
}

/// Kilobytes of memory of this process.
fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

#[test]
fn many_blocks_take_no_more_memory_than_few() {
    with_driver("many_blocks_take_no_more_memory_than_few", || {
        let runner = Runner::new();
        let keeper = flowc_runner::conformance::Keeper { kept: Arc::default(), fail_at: usize::MAX };
        let kept = keeper.kept.clone();
        let mut instance = over_numbers(&runner, &module("y[at.x] = x[at.x];")).open(keeper);
        let mut blocks = |count: usize| {
            for _ in 0..count {
                instance.push(0, Batch::new(1000, vec![Some(numbers(1000))])).unwrap();
                instance.boundary().unwrap();
                kept.lock().unwrap().batches.clear();
            }
            memory()
        };
        let few = blocks(100);
        let many = blocks(if std::env::var_os("FLOWC_LONG").is_some() { 10_000 } else { 400 });
        assert!(many < few + (16 << 10), "{few} kB after 100 blocks, {many} kB in the end");
    });
}
