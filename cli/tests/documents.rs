//! The documents that commands print under `--json`, against the reference: each field of the one is in the other.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use support::project::Project;

/// One unit is a tree and one a chain: both have a boundary that tells a class.
const FLOW: &str = r#"
source "lines" { files "a.txt" }
stage "words" { in "lines"; std "tokenize@1"; config { column "line" } }
stage "known" { in "words"; std "filter@1"; config { where column="word" op="not-null" } }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
stage "apart" { in "lines"; std "tokenize@1"; config { column "line" } }
stage "total" { in "apart"; std "count@1"; config { by "word" } }
sink "known" { in "known"; file "known.csv" }
sink "total" { in "total"; file "total.csv" }
sink "table" { in "counts"; file "counts.csv" }
"#;

const WINDOWS: &str = r#"
source "views" { files "views.csv"; event-time "at" }
stage "views-a-minute" { in "views" { window "tumbling" size="1m" }; std "aggregate@1"; config { compute op="count" } }
sink "views-a-minute" { in "views-a-minute"; file "views-a-minute.csv" }
"#;

/// Members that are told of elsewhere, or have names that a pipeline gives.
const ELSEWHERE: [&str; 3] = ["plan", "reasons", "lock_changes"];

/// Per path in a document, the fields of all objects there.
type Fields = BTreeMap<String, BTreeSet<String>>;

/// The reference: per document, its fields.
fn documented() -> BTreeMap<String, Fields> {
    let (_, section) = include_str!("../templates/events.md").split_once("## Documents").unwrap();
    let mut documents = BTreeMap::<String, Fields>::new();
    for (head, cell) in section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | ")) {
        let (document, path) = head.trim_end_matches('`').split_once("` `").unwrap_or((head.trim_end_matches('`'), ""));
        documents.entry(document.to_owned()).or_default().insert(path.to_owned(), fields(cell));
    }
    documents
}

/// The words in backquotes, but for those in brackets.
fn fields(cell: &str) -> BTreeSet<String> {
    let mut depth = 0;
    let plain = cell.chars().filter(|letter| {
        depth += i32::from(*letter == '(') - i32::from(*letter == ')');
        depth == 0
    });
    plain.collect::<String>().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn collect(value: &Value, path: &str, found: &mut Fields) {
    match value {
        Value::Object(members) => {
            found.entry(path.to_owned()).or_default().extend(members.keys().cloned());
            for (name, member) in members.iter().filter(|(name, _)| !ELSEWHERE.contains(&name.as_str())) {
                collect(member, format!("{path}.{name}").trim_start_matches('.'), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, &format!("{path}[]"), found)),
        _ => {}
    }
}

fn printed(project: &Project, arguments: &[&str]) -> Fields {
    let output = project.flowc(&[arguments, &["--json"]].concat()).output().unwrap();
    let mut found = Fields::new();
    collect(&serde_json::from_slice(&output.stdout).unwrap(), "", &mut found);
    found
}

/// Alters what is stored.
fn damage(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        if entry.file_type().unwrap().is_dir() {
            damage(&entry.path());
            continue;
        }
        let flipped: Vec<u8> = std::fs::read(entry.path()).unwrap().iter().map(|byte| byte ^ 1).collect();
        std::fs::remove_file(entry.path()).unwrap();
        std::fs::write(entry.path(), flipped).unwrap();
    }
}

#[test]
fn every_document_is_in_the_reference_with_its_fields() {
    let project = Project::new();
    let run = |arguments: &[&str]| assert!(project.flowc(arguments).output().unwrap().status.success());
    for pipeline in ["flow.kdl", "gone.kdl"] {
        project.write(pipeline, FLOW);
        project.write("a.txt", "the sea\n");
        run(&["run", pipeline]);
    }
    std::fs::remove_file(project.folder().join("gone.kdl")).unwrap();
    project.write("windows.kdl", WINDOWS);
    project.write("views.csv", "at\n2024-03-01T12:00:10\n");
    run(&["run", "windows.kdl"]);
    run(&["store", "pin", "kept"]);
    let mut found = BTreeMap::new();
    for document in ["plan", "why", "why --window", "store info", "store gc", "store verify"] {
        let arguments: Vec<&str> = match document {
            "why" => vec!["why", "words"],
            "why --window" => vec!["why", "views-a-minute", "windows.kdl", "--window", "2024-03-01T12:00"],
            "store gc" => vec!["store", "gc", "--dry-run"],
            _ => document.split(' ').collect(),
        };
        if document == "store verify" {
            damage(&project.root().join("home/.cache/flowc/objects"));
        }
        found.insert(document.to_owned(), printed(&project, &arguments));
    }
    let documented = documented();
    assert_eq!(documented.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (document, fields) in &documented {
        assert_eq!(fields, &found[document], "{document}");
    }
}
