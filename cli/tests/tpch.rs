//! TPC-H's 22 queries as stages: the answers are those of DuckDB over the same files, also after one of them changed.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::oracle::Oracle;
use support::project::Project;

/// The scale of `cargo xtask test --long` is that of the published figures.
fn scale() -> &'static str {
    if std::env::var_os("FLOWC_LONG").is_some() { "1" } else { "0.02" }
}

#[test]
fn queries_give_what_duckdb_gives() {
    let (project, oracle) = (Project::new(), Oracle::new());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tpch");
    copy(&project, &folder, "flow.kdl");
    for query in fs::read_dir(folder.join("queries")).unwrap() {
        copy(&project, &folder, &format!("queries/{}", query.unwrap().file_name().to_str().unwrap()));
    }
    oracle.run(&project, "tpch.py", &format!("make {}", scale()));
    let classes = classes(&flowc(&project, &["plan", "--json"]));
    check_classes(&folder.join("classes.txt"), &classes);
    flowc(&project, &["run", "--json"]);
    oracle.run(&project, "tpch.py", "check");
    oracle.run(&project, "tpch.py", "change");
    let second = flowc(&project, &["run", "--json"]);
    oracle.run(&project, "tpch.py", "check");
    check_work(&second, &classes);
}

fn copy(project: &Project, folder: &Path, name: &str) {
    project.write(name, &fs::read_to_string(folder.join(name)).unwrap());
}

/// The last document that flowc prints.
fn flowc(project: &Project, arguments: &[&str]) -> Value {
    let output = project.flowc(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    documents.map(Result::unwrap).last().unwrap()
}

/// A line per stage, with the class of each input.
fn classes(plan: &Value) -> String {
    let plan = &plan["plan"];
    let line = |stage: &Value| {
        let input = |input: &Value| format!("{} {}", input["port"], input["class"]);
        let inputs: Vec<String> = stage["inputs"].as_array().unwrap().iter().map(input).collect();
        format!("{}: {}\n", stage["name"], inputs.join(", ")).replace('"', "")
    };
    let mut lines: Vec<String> = plan["stages"].as_array().unwrap().iter().map(line).collect();
    lines.sort();
    lines.concat()
}

/// What is expected is beside the pipeline. `FLOWC_BLESS=1` rewrites it.
fn check_classes(expected: &Path, found: &str) {
    if std::env::var_os("FLOWC_BLESS").is_some() {
        fs::write(expected, found).unwrap();
    }
    assert_eq!(fs::read_to_string(expected).unwrap_or_default(), found);
}

/// A query that is put together of parts works on the changed ones alone.
fn check_work(run: &Value, classes: &str) {
    for stage in run["stages"].as_array().unwrap() {
        let name = stage["name"].as_str().unwrap();
        let is_in_parts = |line: &&str| line.starts_with(name) && line.contains(" lineitem combining");
        if classes.lines().any(|line| is_in_parts(&line)) {
            let work = [&stage["segments_ran"], &stage["segments_cached"]].map(|count| count.as_u64().unwrap());
            assert!(work[0] < work[1], "{name} ran over {} segments of {}", work[0], work[0] + work[1]);
        }
    }
}
