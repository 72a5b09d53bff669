//! The worked pipelines, run as their READMEs say: what is expected, from the cache, and the same with any number of
//! threads. See `pipelines/README.md`.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::worked::{Run, folders};

#[test]
fn pipelines_give_what_is_expected() {
    for folder in folders() {
        let run = Run::new(&folder);
        run.run(&[]);
        run.check_rows();
        run.check_files();
    }
}

#[test]
fn a_second_run_has_nothing_to_do() {
    for folder in folders() {
        let run = Run::new(&folder);
        run.run(&[]);
        for stage in run.run(&[])["stages"].as_array().unwrap() {
            assert!(stage["status"] == "cached" || stage["status"] == "passthrough", "{}: {stage}", run.name());
            assert_eq!(stage["segments_ran"], 0, "{}: {stage}", run.name());
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    for folder in folders() {
        let (one, many) = (Run::new(&folder), Run::new(&folder));
        let (first, second) = (one.run(&["--jobs", "1"]), many.run(&["--jobs", "7"]));
        assert_eq!(first["outputs"], second["outputs"], "{}", one.name());
        assert!(one.written() == many.written(), "{}: the files differ", one.name());
    }
}

#[test]
fn another_model_runs_the_scoring_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/scoring");
    let run = Run::new(&folder);
    let first = run.run(&[]);
    let path = run.project.folder().join("model/churn.onnx");
    let model = fs::read(&path).unwrap();
    // A description of the model in its own format: other bytes, and the same scores.
    fs::write(&path, [&model[..], b"\x32\x03new"].concat()).unwrap();
    let second = run.run(&[]);
    assert_eq!(statuses(&second), [("known", "cached"), ("scored", "ran")]);
    assert_eq!(first["outputs"], second["outputs"]);
    fs::write(&path, model).unwrap();
    assert_eq!(statuses(&run.run(&[])), [("known", "cached"), ("scored", "cached")]);
}

#[test]
fn a_changed_column_runs_those_who_read_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/features");
    let run = Run::new(&folder);
    run.run(&[]);
    let path = run.project.folder().join("data/spring.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("kettle,", "mug,", 1)).unwrap();
    // The filter hands the new products on, and those who only pass them on do nothing.
    let due = [("told", "ran"), ("shape", "cached"), ("tone", "cached"), ("products", "ran")];
    assert_eq!(statuses(&run.run(&[])), due);
    assert!(fs::read_to_string(run.project.folder().join("out/features.csv")).unwrap().contains("mug"));
}

/// What became of each stage.
fn statuses(run: &Value) -> Vec<(&str, &str)> {
    let stages = run["stages"].as_array().unwrap().iter();
    stages.map(|stage| (stage["name"].as_str().unwrap(), stage["status"].as_str().unwrap())).collect()
}
