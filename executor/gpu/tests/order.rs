//! Kernels whose invocations see each other: what depends on their order is found, what does not is right.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::sync::Arc;

use arrow_array::types::{Float32Type, UInt32Type};
use arrow_array::{ArrayRef, Float32Array, UInt32Array};
use support::{Runner, schema, values, with_driver};

const ROWS: u32 = 3000;

fn numbers(rows: u32) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values((0..rows).map(|row| row.wrapping_mul(2_654_435_761))))
}

/// A module over whole segments that reads `x` and writes `y`, both of a type, in workgroups of 64.
fn module(of: &str, arguments: &str, variables: &str, body: &str) -> String {
    format!(
        "struct Batch {{ rows: u32 }}\nvar<storage, read> x: array<{of}>;\nvar<storage, read_write> y: array<{of}>;\n\
         var<uniform> batch: Batch;\n{variables}\n@compute @workgroup_size(64)\nfn main({arguments}) {{\n{body}\n}}\n"
    )
}

const AT: &str = "@builtin(global_invocation_id) at: vec3<u32>";
const ALL: &str = "@builtin(global_invocation_id) at: vec3<u32>, @builtin(local_invocation_index) i: u32, \
                   @builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>";

/// Each of them gives what the order of its invocations makes of it: of all, or of those of a workgroup.
#[test]
fn kernels_that_race_are_found_and_nothing_is_given() {
    with_driver("kernels_that_race_are_found_and_nothing_is_given", || {
        let ticket = "let ticket = atomicAdd(&next, 1u);\nif at.x < batch.rows { y[at.x] = ticket; }";
        let last =
            "if at.x < batch.rows { kept = x[at.x]; }\nworkgroupBarrier();\nif at.x < batch.rows { y[at.x] = kept; }";
        let racy = [
            (AT, "", "if at.x >= batch.rows { return; }\ny[(at.x * 7u) % 1000u] = x[at.x];"),
            (
                AT,
                "",
                "if at.x >= batch.rows { return; }\ny[at.x] = x[at.x];\ny[(at.x * 7u) % batch.rows] = x[at.x] + 1u;",
            ),
            (
                AT,
                "",
                "if at.x >= batch.rows { return; }\ny[at.x] = x[at.x];\ny[at.x] += y[(at.x + 1024u) % batch.rows];",
            ),
            (AT, "", "if at.x >= batch.rows { return; }\ny[0] = x[at.x];"),
            (AT, "var<workgroup> next: atomic<u32>;", ticket),
            (AT, "var<workgroup> kept: u32;", last),
        ];
        for (arguments, variables, body) in racy {
            let x = numbers(ROWS);
            let text = module("u32", arguments, variables, body);
            let runner = Runner::new();
            let stage = runner.stage(&text, &schema(&[("x", &x)]));
            assert!(stage.description.runner["numbers"].starts_with("device: "), "{body}");
            let error = stage.error(&[x]).to_string();
            assert!(error.contains("the kernel gave other bits for the same rows"), "{body}: {error}");
        }
    });
}

/// The first segments may have too few rows for it to show.
#[test]
fn a_race_that_shows_in_large_blocks_is_found_there() {
    with_driver("a_race_that_shows_in_large_blocks_is_found_there", || {
        let runner = Runner::new();
        let body = "if at.x >= batch.rows { return; }\ny[at.x % 64u] = x[at.x];";
        let stage = runner.stage(&module("u32", AT, "", body), &schema(&[("x", &numbers(1))]));
        assert_eq!(stage.rows(&[numbers(1)], 1).num_rows(), 1);
        assert_eq!(stage.rows(&[numbers(40)], 40).num_rows(), 40, "no two rows write the same element");
        let error = stage.error(&[numbers(ROWS)]).to_string();
        assert!(error.contains("the kernel gave other bits for the same rows"), "{error}");
    });
}

/// Floats, so that kernels run in both orders; the numbers of an invocation fit each other in both.
#[test]
fn kernels_without_races_give_the_same_in_both_orders() {
    with_driver("kernels_without_races_give_the_same_in_both_orders", || {
        let input: Vec<f32> = (0..ROWS).map(|row| ((row * 7919) % 1000) as f32 / 8.0).collect();
        let x: ArrayRef = Arc::new(Float32Array::from(input.clone()));
        let scan = "part[i] = 0.0;\nif at.x < batch.rows { part[i] = x[at.x]; }\nworkgroupBarrier();\n\
                    for (var d = 1u; d < 64u; d = d * 2u) {\n    var v = part[i];\n    if i >= d { v += part[i - d]; }\n    \
                    workgroupBarrier();\n    part[i] = v;\n    workgroupBarrier();\n}\nif at.x < batch.rows { y[at.x] = part[i]; }";
        let told = "if at.x >= batch.rows { return; }\nlet is_one = at.x == group.x * 64u + i && local.x == i && at.y + group.z + local.y == 0u;\n\
                    y[batch.rows - 1u - at.x] = select(-1.0, x[at.x], is_one);";
        let structure = "struct In { @builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) i: u32, @builtin(num_workgroups) all: vec3<u32> }";
        let by_structure = "let at = given.group.x * 64u + given.i;\nif at >= batch.rows { return; }\n\
                            y[at] = x[(at + 1u) % batch.rows] + f32(given.all.x);";
        let sums = |at: usize| input[at / 64 * 64..=at].iter().sum::<f32>();
        let rows = ROWS as usize;
        type Expected<'a> = &'a dyn Fn(usize) -> f32;
        let cases: [(&str, &str, &str, Expected<'_>); 3] = [
            (ALL, "var<workgroup> part: array<f32, 64>;", scan, &sums),
            (ALL, "", told, &|at| input[rows - 1 - at]),
            ("given: In", structure, by_structure, &|at| input[(at + 1) % rows] + rows.div_ceil(64) as f32),
        ];
        for (arguments, variables, body, expected) in cases {
            let runner = Runner::new();
            let stage = runner.stage(&module("f32", arguments, variables, body), &schema(&[("x", &x)]));
            let out = stage.rows(std::slice::from_ref(&x), rows);
            let expected: Vec<f32> = (0..rows).map(expected).collect();
            assert_eq!(values::<Float32Type>(&out, "y"), expected, "{body}");
        }
    });
}

/// Integers that are proven need no second run.
#[test]
fn what_is_proven_runs_in_one_order() {
    with_driver("what_is_proven_runs_in_one_order", || {
        let runner = Runner::new();
        let body = "if at.x >= batch.rows { return; }\ny[at.x] = x[batch.rows - 1u - at.x];";
        let x = numbers(ROWS);
        let stage = runner.stage(&module("u32", AT, "", body), &schema(&[("x", &x)]));
        assert_eq!(stage.description.runner["numbers"], "exact");
        let before = runner.kernels.traffic()[0];
        let out = stage.rows(std::slice::from_ref(&x), ROWS as usize);
        assert_eq!(values::<UInt32Type>(&out, "y")[0], (ROWS - 1).wrapping_mul(2_654_435_761));
        assert!(runner.kernels.traffic()[0] - before < 2 * 4 * u64::from(ROWS), "its rows went there once");
    });
}
