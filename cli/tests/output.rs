//! What every command does where standard output can't be written, and what programs read of every kind of failure.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::process::Output;

use serde_json::Value;
use support::project::Project;

const FLOW: &str = "\
source \"people\" { files \"people.csv\" }
stage \"some\" { in \"people\"; std \"tokenize@1\"; config { column \"name\" } }
sink \"names\" { in \"some\"; file \"names.csv\" }
";

/// A project whose pipeline has run.
fn project() -> Project {
    let project = Project::new();
    project.write("people.csv", "name,age\nann,30\n");
    project.write("flow.kdl", FLOW);
    assert!(project.flowc(&["run", "-q"]).status().unwrap().success());
    project
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Commands that print, each with arguments for [`project`].
const PRINTING: [&str; 26] = [
    "--help",
    "--version",
    "help run",
    "init new",
    "init --stage python tone",
    "plan",
    "plan --json",
    "plan --help",
    "run --json",
    "run other.kdl",
    "why some",
    "why some --json",
    "graph",
    "graph --format svg",
    "show names",
    "show names --json",
    "show names --csv",
    "show names --arrow",
    "log some",
    "store info --json",
    "store verify",
    "store pin a",
    "store unpin a",
    "store gc --json",
    "doctor",
    "completions bash",
];

#[test]
fn output_that_cannot_be_written_is_a_failure_of_every_command() {
    let project = project();
    project.write("other.kdl", &FLOW.replace("file \"names.csv\"", "stdout"));
    for line in PRINTING {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let output = project.flowc(&words).stdout(full).output().unwrap();
        let told = text(&output.stderr);
        // `doctor` may say so of a machine too; what it could not write comes first.
        assert_eq!(output.status.code(), Some(1), "{line}: {told}");
        assert!(told.contains("standard output"), "{line}: {told}");
    }
}

#[test]
fn every_command_is_tried() {
    let help = text(&Project::new().flowc(&["--help"]).output().unwrap().stdout);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        // Servers print and then go on until they are stopped; to compile all stages takes long, and prints in the same way.
        let is_tried = ["precompile", "serve", "worker"].contains(&name)
            || PRINTING.iter().any(|line| line.split(' ').next() == Some(name));
        assert!(is_tried, "{name}");
    }
}

/// The errors that programs read: of a document, or of lines.
fn errors(output: &Output) -> Vec<Value> {
    let printed = text(&output.stdout);
    let values = serde_json::Deserializer::from_str(&printed).into_iter::<Value>().map(Result::unwrap);
    let of = |value: Value| match value["errors"].as_array() {
        Some(errors) => errors.clone(),
        None => vec![value],
    };
    values.flat_map(of).filter(|value| value["message"].is_string()).collect()
}

/// Commands that print JSON of a pipeline.
const JSON: [&str; 5] = ["plan", "run", "why some", "show some", "log gone"];

#[test]
fn every_failure_is_json_for_who_asks_for_json() {
    let broken = [
        "source \"a\" { files \"a.csv\"",
        "include \"nowhere.kdl\"",
        "source \"a\" { fiels \"a.csv\" }\nsink \"s\" { in \"b\" }",
        "source \"a\" { files \"gone.csv\" }\nsink \"s\" { in \"a\"; file \"s.csv\" }",
    ];
    for flow in broken {
        let project = Project::new();
        project.write("flow.kdl", flow);
        for command in JSON {
            let words: Vec<&str> = command.split(' ').chain(["--json"]).collect();
            check(&project.flowc(&words).output().unwrap(), &format!("{command} of {flow}"));
        }
    }
}

#[test]
fn every_mistake_around_a_pipeline_is_json_too() {
    let project = project();
    project.write("a-file", "");
    for command in ["plan", "run", "why some", "show some", "log some"] {
        for more in ["nowhere.kdl --json", "--json --nonsense", "--json --store a-file", "--json --jobs 0"] {
            let words: Vec<&str> = command.split(' ').chain(more.split(' ')).collect();
            check(&project.flowc(&words).output().unwrap(), &format!("{command} {more}"));
        }
        let words: Vec<&str> = command.split(' ').chain(["--json"]).collect();
        let output = project.flowc(&words).env("FLOWC_JOBS", "many").output().unwrap();
        check(&output, &format!("{command} with a wrong setting"));
    }
    for command in ["info", "verify", "gc"] {
        let output = project.flowc(&["store", command, "--json", "--store", "nowhere"]).output().unwrap();
        check(&output, command);
    }
}

fn check(output: &Output, what: &str) {
    let (errors, told) = (errors(output), text(&output.stderr));
    assert_ne!(output.status.code(), Some(0), "{what}");
    assert!(!errors.is_empty(), "{what}: {}{told}", text(&output.stdout));
    for error in errors {
        assert!(error["code"].as_str().is_some_and(|code| code.starts_with("flowc::")), "{what}: {error}");
        let expected = match error["class"].as_str() {
            Some("user") => 2,
            Some("store") => 3,
            Some("lock") => 4,
            Some("run" | "environment") => 1,
            other => panic!("{what}: {other:?}"),
        };
        assert_eq!(output.status.code(), Some(expected), "{what}: {error}");
    }
}
