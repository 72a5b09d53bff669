//! What a machine can't isolate is said, and what comes of it is not taken for more than it is.
#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::project::Project;

const STAGE: &str = r#"
import flowc
import pyarrow as pa


@flowc.stage(reads=["line"], adds={"length": pa.int64()})
def stage(lines: pa.RecordBatch) -> list[int]:
    """Measures lines."""
    return [len(line) for line in lines["line"].to_pylist()]
"#;

/// A pipeline with a Python stage, of which `more` is said.
fn pipeline(project: &Project, more: &str) {
    project.write(
        "flow.kdl",
        &format!(
            "source \"lines\" {{ files \"a.txt\" }}
             stage \"lengths\" {{ in \"lines\"; python \"lengths\"; {more} }}
             sink \"out\" {{ in \"lengths\"; file \"out.csv\" }}"
        ),
    );
}

fn project() -> Project {
    let project = Project::new();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    for file in ["pyproject.toml", "uv.lock"] {
        project.write(&format!("lengths/{file}"), &std::fs::read_to_string(python.join(file)).unwrap());
    }
    project.write("lengths/stage.py", STAGE);
    project.write("a.txt", "one\nthree\n");
    project
}

/// flowc on a machine that allows no namespaces: one is made that allows none within.
fn without_namespaces(project: &Project, arguments: &[&str]) -> Command {
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; exec flowc \"$@\"";
    let mut command = project.program("unshare");
    command.args(["-Ur", "sh", "-c", script, "sh"]).args(arguments);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether the stage ran, in a run that went well and gave the right rows. The sink is gone before it, so that there is something to do.
fn ran(project: &Project, command: Command) -> bool {
    let _ = std::fs::remove_file(project.folder().join("out.csv"));
    ran_at_all(project, command)
}

/// The same, if nothing may be to do.
fn ran_at_all(project: &Project, mut command: Command) -> bool {
    // Files that were written within one tick of the file system's clock are read again.
    std::thread::sleep(std::time::Duration::from_millis(50));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(project.folder().join("out.csv")).unwrap(), "line,length\none,3\nthree,5\n");
    let last = said(&output).lines().rfind(|line| line.contains("\"run-finished\"")).unwrap().to_owned();
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    let stage = last["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "lengths").unwrap();
    stage["segments_ran"] != 0
}

#[test]
fn open_results_are_made_again_unless_the_pipeline_says_otherwise() {
    let project = project();
    pipeline(&project, "");
    let run = ["run", "--json"];
    let full = || project.flowc(&run);
    let less = || without_namespaces(&project, &run);
    let plan = |mut command: Command| said(&command.output().unwrap());

    assert!(plan(project.flowc(&["plan"])).contains("  sandboxed\n"));
    assert!(ran(&project, full()) && !ran(&project, full()));
    let planned = plan(without_namespaces(&project, &["plan"]));
    assert!(planned.contains("  open (without namespaces own-root)\n"), "{planned}");
    assert!(ran(&project, less()), "what was made with more isolation is another result");
    assert!(ran(&project, less()), "and what was made with less is not taken again");
    assert!(plan(without_namespaces(&project, &["why", "lengths"])).contains("may be taken again"));
    assert!(plan(without_namespaces(&project, &["show", "out"])).contains("three"), "the last run's rows are there");
    assert!(!ran(&project, full()), "what was made with all of it is taken");

    for cache in ["cache #true", "cache \"1h\""] {
        pipeline(&project, cache);
        assert!(ran(&project, less()) || cache.contains("1h"));
        assert!(!ran(&project, less()), "{cache}");
    }
    pipeline(&project, "cache #true");
    assert!(!ran(&project, less()));
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(!ran_at_all(&project, less()), "and leaves it");
    let planned = plan(project.flowc(&["plan"]));
    assert!(planned.contains("  sandboxed\n"), "what was pinned here is not taken there: {planned}");
    assert!(!ran(&project, full()), "but what was made there before");
    pipeline(&project, "cache \"1ms\"");
    assert!(ran(&project, less()) && ran(&project, less()));
}

#[test]
fn less_isolation_can_be_refused() {
    let project = project();
    pipeline(&project, "");
    let run = ["run", "--require-isolation"];
    assert!(project.flowc(&run).output().unwrap().status.success());
    // What is up to date is not run.
    std::fs::remove_file(project.folder().join("out.csv")).unwrap();
    let refused = without_namespaces(&project, &run).output().unwrap();
    let words = said(&refused);
    assert_eq!(refused.status.code(), Some(5), "{words}");
    for part in ["nothing was run", "`lengths`", "user namespaces", "isolate \"container\"", "flowc doctor"] {
        assert!(words.contains(part), "{part} is missing in: {words}");
    }
    let by_variable = without_namespaces(&project, &["run"]).env("FLOWC_REQUIRE_ISOLATION", "true").output().unwrap();
    assert_eq!(by_variable.status.code(), Some(5));
}
