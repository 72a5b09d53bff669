//! SQL stages, held against DuckDB, and their results under all the ways to cut and run them.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::collections::BTreeMap;
use std::fs;

use support::oracle::Oracle;
use support::project::Project;

#[test]
fn statements_give_what_duckdb_gives() {
    let (project, oracle) = (Project::new(), Oracle::new());
    oracle.run(&project, "sql.py", "make");
    run(&project, &[]);
    oracle.run(&project, "sql.py", "check");
    let first = written(&project);
    for arguments in [["--jobs", "1"], ["--jobs", "5"]] {
        let store = project.folder().join(format!("store-{}", arguments[1]));
        run(&project, &[&arguments[..], &["--store", store.to_str().unwrap()]].concat());
        assert!(written(&project) == first, "{arguments:?} gives other bytes");
    }
}

fn run(project: &Project, arguments: &[&str]) {
    let output = project.flowc(&[&["run"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The bytes of all sinks.
fn written(project: &Project) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(project.folder().join("out")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some());
    files.map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}
