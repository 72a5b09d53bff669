//! Kernels that give other values and keep other rows on another device: what is told of that.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use support::project::Project;

/// A kernel whose values and whose rows depend on the width of the device. What `run --verify k` says on another one.
fn of_the_width(settings: &str) -> (bool, String) {
    let project = Project::new();
    let text = "source \"n\" { files \"in/*.csv\"; schema { column \"n\" \"Int32\"; column \"g\" \"Int32\" } }\n\
                stage \"k\" { in \"n\"; wgsl \"k.wgsl\"; SETTINGS }\nsink \"k\" { in \"k\"; file \"k.parquet\" }\n";
    project.write("flow.kdl", &text.replace("SETTINGS", settings));
    project.write(
        "k.wgsl",
        "struct Batch { rows: u32 }\n\
         var<storage, read> n: array<i32>;\n\
         var<storage, read_write> y: array<f32>;\n\
         var<storage, read_write> keep: array<u32>;\n\
         var<uniform> batch: Batch;\n\
         @compute @workgroup_size(64)\n\
         fn main(@builtin(global_invocation_id) at: vec3<u32>, @builtin(subgroup_size) size: u32) {\n\
             if at.x >= batch.rows { return; }\n\
             y[at.x] = f32(n[at.x]) + f32(size);\n\
             keep[at.x] = u32(u32(n[at.x]) % 50u != size);\n\
         }\n",
    );
    for (file, rows) in [("a", 0..1000), ("b", 1000..1500)] {
        let rows: String = rows.map(|n| format!("{n},{}\n", n / 6)).collect();
        project.write(&format!("in/{file}.csv"), &format!("n,g\n{rows}"));
    }
    let made = project.flowc_with_vulkan(&["run", "--gpu", "cpu"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut command = project.flowc_with_vulkan(&["run", "--gpu", "cpu", "--verify", "k", "--keep-going"]);
    let output = command.env("LP_NATIVE_VECTOR_WIDTH", "128").output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn values_of_another_device_are_compared_in_the_rows_that_both_keep() {
    let (is_good, said) = of_the_width("");
    let tells = |said: &str, parts: &[&str]| said.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(is_good && tells(&said, &["k: keeps other rows than vulkan ", ", in 60 of 1500 rows"]), "{said}");
    assert!(
        tells(&said, &["k: `y` differs from vulkan ", " in 1440 of 1440 rows, by 4e0 at most (row 1 of "]),
        "{said}"
    );
    // Each segment by itself.
    let (is_good, said) = of_the_width("numeric \"portable\" abs=1.0");
    for parts in [
        [
            ", 40 of the 1000 rows that either keeps are not kept by both; ",
            "; `y` differs in 960 of 960 rows, by up to 4e0; ",
        ],
        [
            ", 20 of the 500 rows that either keeps are not kept by both; ",
            "; `y` differs in 480 of 480 rows, by up to 4e0; ",
        ],
    ] {
        assert!(!is_good && tells(&said, &parts), "{said}");
    }
    // Nothing tells rows of a group apart, or any rows.
    for drops in ["drops \"n\"", "drops \"n\" \"g\""] {
        let (is_good, said) = of_the_width(drops);
        assert!(
            is_good && tells(&said, &["k: `y` is not compared with vulkan ", " rows that can't be told apart"]),
            "{said}"
        );
    }
}
