//! Components in processes of their own: the results are the same, and a process that ends is replaced.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::process::Stdio;

use support::components::{pipeline, rows};
use support::processes::{command_lines, kill, wait_until};
use support::project::Project;
use support::results::{outputs, plan};

#[test]
fn wherever_stages_run_the_results_are_the_same() {
    let isolations = ["isolate #false", "isolate #true", "isolate \"process\"", "isolate \"container\""];
    let [collapsed, units, processes, containers] = isolations.map(pipeline);
    let due = outputs(&collapsed);
    assert_eq!(due.as_array().unwrap().len(), 3);
    assert_eq!(outputs(&units), due);
    assert_eq!(outputs(&processes), due);
    assert_eq!(outputs(&containers), due);

    let plan = plan(&processes);
    assert_eq!(plan.matches("  wasm in a process\n").count(), 6, "{plan}");
    assert!(plan.contains("stored: grown (isolate \"process\")"), "{plan}");
    // Keys are those of the component: what ran in flowc's process is there already.
    let text = std::fs::read_to_string(collapsed.folder().join("flow.kdl")).unwrap();
    collapsed.write("flow.kdl", &text.replace("isolate #false; config { by", "isolate \"process\"; config { by"));
    let status = collapsed.flowc(&["why", "counted"]).output().unwrap();
    let said = String::from_utf8_lossy(&status.stdout);
    assert!(said.contains("cached"), "{said}");
}

/// Processes that serve a component of the project.
fn servers(project: &Project) -> Vec<i32> {
    let root = project.root().to_str().unwrap();
    let serves = |words: &[String]| {
        words.get(1).is_some_and(|word| word == "serve-component") && words.iter().any(|word| word.contains(root))
    };
    command_lines().into_iter().filter(|(_, words)| serves(words)).map(|(number, _)| number).collect()
}

#[test]
fn a_process_that_is_killed_is_replaced() {
    let project = rows("isolate \"process\"");
    let run = project.flowc(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a component is at work", || !servers(&project).is_empty());
    kill(servers(&project)[0]);
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let log = project.flowc(&["log", "made"]).output().unwrap();
    let log = String::from_utf8_lossy(&log.stdout);
    assert!(log.contains("trying again"), "{log}{said}");
    wait_until("all processes have ended with the run", || servers(&project).is_empty());
    assert_eq!(outputs(&project), outputs(&rows("isolate #false")));
}
