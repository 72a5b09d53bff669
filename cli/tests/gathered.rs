//! Merges that take rows, where partials have as many rows as what they are made of: what comes out is the same bytes as what merges of
//! partials give, and reports say the same.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs;
use std::path::Path;

use support::project::Project;

/// A file of 70,000 rows with about as many keys.
fn rows(number: u64) -> String {
    format!(
        r#"
stage "rows-{number}" {{
    std "generate@1"
    config {{
        rows 70000
        seed {number}
        column {{ name "key"; kind "int"; min 0; max 1000000000; nulls 0.01 }}
        column {{ name "n"; kind "int"; min -1000; max 1000; nulls 0.1 }}
        column {{ name "x"; kind "float"; nulls 0.1 }}
        column {{ name "t"; kind "choice"; values "b" "a" "c" }}
    }}
}}
sink "rows-{number}" {{ in "rows-{number}"; file "rows/{number}.parquet" }}
"#
    )
}

/// A stage over these rows, and its config.
const STAGES: [(&str, &str); 2] = [
    (
        "aggregate@1",
        r#"
        by "key"
        compute op="count" as="rows"
        compute op="sum" column="n"
        compute op="mean" column="x"
        compute op="max" column="t"
        compute op="first" column="t" by="n"
        compute op="approx-count-distinct" column="n"
        "#,
    ),
    ("count@1", r#"by "key" "t""#),
];

/// A project with three files of rows.
fn project() -> Project {
    let project = Project::new();
    project.write("flow.kdl", &(0..3).map(rows).collect::<String>());
    let made = project.flowc(&["run", "--store", "made"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    project
}

fn pipeline(code: &str, config: &str) -> String {
    format!(
        "source \"rows\" {{ files \"rows/*.parquet\" }}
         stage \"groups\" {{ in \"rows\"; {code}; config {{ {config} }} }}
         sink \"groups\" {{ in \"groups\"; file \"groups.parquet\" }}"
    )
}

/// How many tasks ran, and how many segments the report says.
struct Told {
    tasks: usize,
    segments: u64,
}

fn run(project: &Project, store: &str, arguments: &[&str]) -> Told {
    let all = [&["run", "--json", "--store", store], arguments].concat();
    let output = project.flowc(&all).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let tasks = events.iter().filter(|event| event["event"] == "task-started").count();
    let report = events.iter().find(|event| event["event"] == "run-finished").unwrap();
    Told { tasks, segments: report["stages"][0]["segments_ran"].as_u64().unwrap_or_else(|| panic!("{report}")) }
}

/// How many segments a run would give to the stage, as `flowc plan` says.
fn due(project: &Project, store: &str) -> u64 {
    let output = project.flowc(&["plan", "--json", "--store", store]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    plan["status"]["stages"][0]["to_run"].as_u64().unwrap_or_else(|| panic!("{plan}"))
}

#[test]
fn merges_that_take_rows_give_what_merges_of_partials_give() {
    let project = project();
    let given = || fs::read(project.folder().join("groups.parquet")).unwrap();
    for (name, config) in STAGES {
        let component =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../stdlib-stages/bundle/components/{name}.wasm"));
        project.write("flow.kdl", &pipeline(&format!("wasm {:?}", component.display().to_string()), config));
        // The code of others is given partials in any case.
        let merged = run(&project, &format!("merged-{name}"), &["--jobs", "1"]);
        let due_bytes = given();
        assert_eq!((merged.tasks, merged.segments), (5, 3), "{name}: a partial a segment, a merge, the finish");
        project.write("flow.kdl", &pipeline(&format!("std {name:?}"), config));
        let store = format!("gathered-{name}");
        let gathered = run(&project, &store, &["--jobs", "1"]);
        assert!(gathered.tasks < merged.tasks, "{name}: {} tasks", gathered.tasks);
        assert_eq!(gathered.segments, 3, "{name}");
        assert!(given() == due_bytes, "{name}");
        assert_eq!((due(&project, &store), run(&project, &store, &[]).tasks), (0, 0), "{name}: all is there");
        let narrow: &[&str] = &["--memory", "128MiB", "--budget", "128MiB"];
        for (other, arguments) in [("several", &["--jobs", "4"][..]), ("narrow", narrow)] {
            let told = run(&project, &format!("{other}-{name}"), arguments);
            assert_eq!(told.segments, 3, "{name}, {other}");
            assert!(given() == due_bytes, "{name}, {other}");
        }
        // What is verified merges partials, which are held against what is stored.
        let verified = run(&project, &store, &["--verify", "groups"]);
        assert_eq!(verified.tasks, 5, "{name}");
        assert!(given() == due_bytes, "{name}");
    }
}

#[test]
fn what_was_merged_of_rows_stands_where_files_change() {
    let project = project();
    let (name, config) = STAGES[0];
    project.write("flow.kdl", &pipeline(&format!("std {name:?}"), config));
    run(&project, "kept", &["--jobs", "1"]);
    let file = |number: u64| project.folder().join(format!("rows/{number}.parquet"));
    let given = || fs::read(project.folder().join("groups.parquet")).unwrap();
    // One has what another one had.
    fs::copy(file(0), file(1)).unwrap();
    let changed = run(&project, "kept", &["--jobs", "1"]);
    let of_changed = given();
    assert!(changed.segments <= 3, "{} segments", changed.segments);
    run(&project, "new", &["--jobs", "1"]);
    assert!(given() == of_changed);
    // One is gone: what is left is known without reading it, so that what is due is known too.
    fs::remove_file(file(2)).unwrap();
    let due = due(&project, "kept");
    assert_eq!(due, run(&project, "kept", &[]).segments);
    let of_two = given();
    run(&project, "newer", &["--jobs", "1"]);
    assert!(given() == of_two);
    run(&project, "kept", &["--verify", "groups"]);
    assert!(given() == of_two);
}
