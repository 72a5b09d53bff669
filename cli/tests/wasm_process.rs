//! Components in processes of their own: the results are the same, and a process that ends is replaced.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::process::Stdio;

use support::processes::{command_lines, kill, wait_until};
use support::project::Project;
use support::results::{outputs, plan};

const PEOPLE: &str = "name,age,city\nAda,36,Rome\nBo,19,Oslo\nCy Young,,Rome\nDi,51,Bern\nEd Oslo,44,Oslo\n";
const CITIES: &str = "name,country\nRome,Italy\nOslo,Norway\nRome,Again\n";

/// Stages of all classes, each isolated so.
fn pipeline(isolate: &str) -> Project {
    let project = Project::new();
    project.write("people/1.csv", PEOPLE);
    project.write("people/2.csv", &PEOPLE.replace("Rome", "Bern"));
    project.write("cities.csv", CITIES);
    let text = r#"
source "people" { files "people/*.csv" }
source "cities" { files "cities.csv" }
stage "grown" { in "people"; std "filter@1"; ISOLATE; config { where { column "age"; op ">="; value 20 } } }
stage "placed" {
    in rows="grown" table="cities"
    std "lookup@1"; ISOLATE
    config { on { left "city"; right "name" }; columns "country"; mode "left"; first #true }
}
stage "named" { in "placed"; std "select@1"; ISOLATE; config { drop "age"; rename { city "place" } } }
stage "words" { in "named"; std "tokenize@1"; ISOLATE; config { column "name"; keep "place" } }
stage "counted" { in "words"; std "count@1"; ISOLATE; config { by "place" "word" } }
stage "made" { std "generate@1"; ISOLATE; config { rows 1000; rows-per-part 300; column { name "n"; kind "int"; max 9 } } }
sink "named" { in "named"; file "named.csv" }
sink "counted" { in "counted"; file "counted.csv" }
sink "made" { in "made"; file "made.csv" }
"#;
    project.write("flow.kdl", &text.replace("ISOLATE", isolate));
    project
}

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

/// Rows enough that a process is at work for a while.
fn rows(isolate: &str) -> Project {
    let project = Project::new();
    let columns = "column { name \"n\"; kind \"sequence\" }; column { name \"t\"; kind \"text\"; words 20 }";
    let text = format!(
        "stage \"made\" {{ std \"generate@1\"; {isolate}; config {{ rows 600000; rows-per-part 50000; {columns} }} }}
         stage \"few\" {{ in \"made\"; std \"filter@1\"; config {{ where {{ column \"n\"; op \"<\"; value 10 }} }} }}
         sink \"few\" {{ in \"few\"; file \"few.parquet\" }}"
    );
    project.write("flow.kdl", &text);
    project
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
