//! Kernels through the binary: which of them run again when, whether drivers are opened, and that it does not matter how stages are
//! put together.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs;
use std::process::Command;

use support::project::Project;

/// Two float kernels after each other, whose product and sum a driver would contract, and one of integers beside them.
const PIPELINE: &str = r#"
source "numbers" {
    files "numbers.csv"
    schema { column "x" "Float32"; column "y" "Float32"; column "z" "Float32"; column "n" "Int32" }
}
stage "product" { in "numbers"; wgsl "product.wgsl"; ISOLATE }
stage "sum" { in "product"; wgsl "sum.wgsl"; ISOLATE }
stage "integers" { in "numbers"; wgsl "integers.wgsl" }
sink "sums" { in "sum"; file "sums.parquet" }
sink "integers" { in "integers"; file "integers.parquet" }
"#;

fn project(isolate: &str) -> Project {
    let project = Project::new();
    project.write("flow.kdl", &PIPELINE.replace("ISOLATE", isolate));
    project.write("product.wgsl", "struct Out { p: f32 }\nfn row(x: f32, y: f32) -> Out { return Out(x * y); }\n");
    project.write("sum.wgsl", "struct Out { s: f32 }\nfn row(p: f32, z: f32) -> Out { return Out(p + z); }\n");
    project.write("integers.wgsl", "struct Out { m: i32 }\nfn row(n: i32) -> Out { return Out(n * 3); }\n");
    let mut seed = 7u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(seed >> 8) / 1e5
    };
    let rows = (0..5000).map(|row| format!("{},{},{},{row}\n", next(), next(), -next())).collect::<String>();
    project.write("numbers.csv", &format!("x,y,z,n\n{rows}"));
    project
}

/// What a run prints, with the driver.
fn run(project: &Project, change: impl FnOnce(&mut Command)) -> String {
    let mut command = project.flowc_with_vulkan(&["run", "--gpu", "cpu"]);
    change(&mut command);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    said
}

/// The stages that a run ran.
fn ran(said: &str) -> Vec<&str> {
    let words = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Lines of the table; others say why.
    words.filter(|words| words.len() == 6 && words[1] == "ran").map(|words| words[0]).collect()
}

fn written(project: &Project) -> Vec<u8> {
    fs::read(project.folder().join("sums.parquet")).unwrap()
}

#[test]
fn stages_give_the_same_together_and_apart() {
    let (together, apart) = (project(""), project("isolate #true"));
    let plan =
        |project: &Project| String::from_utf8(project.flowc_with_vulkan(&["plan"]).output().unwrap().stdout).unwrap();
    assert!(plan(&together).contains("2 units") && plan(&apart).contains("3 units"), "{}", plan(&apart));
    run(&together, |_| {});
    run(&apart, |command| {
        command.args(["--jobs", "8"]);
    });
    assert!(written(&together) == written(&apart), "the driver sees both stages at once");
}

#[test]
fn another_device_runs_what_depends_on_it_and_both_results_stay() {
    let project = project("");
    let other = |command: &mut Command| {
        command.env("LP_NATIVE_VECTOR_WIDTH", "128");
    };
    assert_eq!(ran(&run(&project, |_| {})), ["product", "sum", "integers"]);
    let why = || {
        let mut command = project.flowc_with_vulkan(&["why", "sum", "--gpu", "cpu"]);
        String::from_utf8(command.env("LP_NATIVE_VECTOR_WIDTH", "128").output().unwrap().stdout).unwrap()
    };
    let reason = why();
    assert!(reason.contains("the GPU or its driver changed: ") && reason.contains(" 256 bits)"), "{reason}");
    assert!(reason.contains(" 128 bits)"), "{reason}");
    assert_eq!(ran(&run(&project, other)), ["product", "sum"], "integers are the same everywhere");
    assert_eq!(ran(&run(&project, |_| {})), [""; 0], "results of the first device are there");
    assert_eq!(ran(&run(&project, other)), [""; 0], "and those of the second");
}

#[test]
fn drivers_are_opened_where_kernels_run_alone() {
    let project = project("");
    let told = |command: &mut Command| {
        command.env("VK_LOADER_DEBUG", "all");
    };
    let opens = |said: &str| said.contains("libvulkan_lvp.so");
    assert!(opens(&run(&project, told)), "the loader tells of it");
    assert!(!opens(&run(&project, told)), "nothing to do");
    fs::remove_file(project.folder().join("sums.parquet")).unwrap();
    let cached = run(&project, told);
    assert!(!opens(&cached) && cached.contains("wrote sums"), "all from the store: {cached}");
    let mut plan = project.flowc_with_vulkan(&["plan"]);
    told(&mut plan);
    assert!(!opens(&String::from_utf8_lossy(&plan.output().unwrap().stderr)), "planned");
}
