//! Merges that take rows, where partials have as many rows as what they are made of: what comes out is the same bytes.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::Path;

use support::project::Project;

const ROWS: &str = r#"
stage "rows" {
    std "generate@1"
    config {
        rows 400000
        rows-per-part 100000
        column { name "key"; kind "int"; min 0; max 1000000000; nulls 0.01 }
        column { name "n"; kind "int"; min -1000; max 1000; nulls 0.1 }
        column { name "x"; kind "float"; nulls 0.1 }
        column { name "t"; kind "choice"; values "b" "a" "c" }
    }
}
sink "rows" { in "rows"; dir "rows"; format "parquet" }
"#;

const GROUPS: &str = r#"
source "rows" { files "rows/**/*.parquet" }
stage "groups" {
    in "rows"
    CODE
    config {
        by "key"
        compute op="count" as="rows"
        compute op="sum" column="n"
        compute op="mean" column="x"
        compute op="variance" column="x"
        compute op="min" column="n"
        compute op="max" column="t"
        compute op="first" column="t" by="n"
        compute op="top" column="n" k=2
        compute op="count-distinct" column="t"
        compute op="approx-count-distinct" column="n"
        compute op="approx-quantile" column="x" at=0.5
    }
}
sink "groups" { in "groups"; file "groups.parquet" }
"#;

/// Rows of the pipeline's stage, and those of partials that were made of segments.
struct Told {
    tasks: u64,
    segments: u64,
}

fn run(project: &Project, store: &str, arguments: &[&str]) -> Told {
    let all = [&["run", "--json", "--store", store], arguments].concat();
    let output = project.flowc(&all).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tasks = events.iter().filter(|event| event["event"] == "task-started").count() as u64;
    let report = events.iter().find(|event| event["event"] == "run-finished").unwrap();
    Told { tasks, segments: report["report"]["stages"][0]["ran"].as_u64().unwrap_or_else(|| panic!("{report}")) }
}

#[test]
fn merges_that_take_rows_give_what_merges_of_partials_give() {
    let project = Project::new();
    project.write("flow.kdl", ROWS);
    run(&project, "made", &[]);
    let component = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stdlib-stages/bundle/components/aggregate@1.wasm");
    project.write("flow.kdl", &GROUPS.replace("CODE", &format!("wasm {:?}", component.display().to_string())));
    let given = || std::fs::read(project.folder().join("groups.parquet")).unwrap();
    // The code of others is given partials in any case.
    let merged = run(&project, "merged", &["--jobs", "1"]);
    let due = given();
    assert_eq!((merged.tasks, merged.segments), (6, 4), "a partial a segment, a merge, the finish");
    project.write("flow.kdl", &GROUPS.replace("CODE", "std \"aggregate@1\""));
    let gathered = run(&project, "gathered", &["--jobs", "1"]);
    assert!(gathered.tasks < merged.tasks, "{} tasks", gathered.tasks);
    assert!(given() == due);
    run(&project, "several", &["--jobs", "4"]);
    assert!(given() == due);
    // What is verified merges partials, which are held against what is stored.
    run(&project, "gathered", &["--verify", "groups"]);
    assert!(given() == due);
}
