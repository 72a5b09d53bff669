//! Stages with several inputs and outputs, and components from files.

use crate::support::{Project, all_cached, component, segments, stage};
use flowc_executor::StageStatus;

const PARTED: &str = r#"
source "orders" { files "orders/*.csv" }
source "customers" { files "customers.csv" }
stage "parted" { in rows="orders" table="customers"; wasm "parted.wasm"; config { on "who" } }
stage "ids" { in "parted.known"; std "select@1"; config { keep "id" } }
stage "names" { in "parted.known"; std "select@1"; config { keep "who" } }
sink "ids" { in "ids"; file "out/ids.csv" }
sink "names" { in "names"; file "out/names.csv" }
sink "unknown" { in "parted.unknown"; file "out/unknown.csv" }
"#;

fn parted() -> Project {
    let project = Project::new(PARTED);
    project.write("parted.wasm", component("parted"));
    project.write("customers.csv", "who,city\nann,Rome\nbob,Oslo\n");
    project.write("orders/a.csv", "id,who\n1,ann\n2,eve\n3,bob\n");
    project.write("orders/b.csv", "id,who\n4,eve\n5,ann\n");
    project
}

#[test]
fn every_output_gets_its_rows_and_two_stages_may_read_one() {
    let project = parted();
    project.run();
    assert_eq!(project.read("out/ids.csv"), "id\n1\n3\n5\n");
    assert_eq!(project.read("out/names.csv"), "who\nann\nbob\nann\n");
    assert_eq!(project.read("out/unknown.csv"), "id,who\n2,eve\n4,eve\n");
    assert!(all_cached(&project.run()));
}

#[test]
fn a_change_runs_what_it_reaches_through_any_port() {
    let project = parted();
    project.run();
    project.write("orders/b.csv", "id,who\n4,eve\n5,bob\n");
    let report = project.run();
    assert_eq!(segments(&report, "parted"), (1, 1));
    assert_eq!(project.read("out/names.csv"), "who\nann\nbob\nbob\n");
    project.write("customers.csv", "who,city\nann,Paris\nbob,Oslo\n");
    assert!(all_cached(&project.run()), "the city is not read");
    project.write("customers.csv", "who,city\neve,Bern\n");
    let report = project.run();
    assert_eq!(segments(&report, "parted"), (2, 0), "every row may need the table");
    assert_eq!(project.read("out/ids.csv"), "id\n2\n4\n");
    assert_eq!(project.read("out/unknown.csv"), "id,who\n1,ann\n3,bob\n5,bob\n");
}

#[test]
fn an_output_that_nobody_reads_is_left_out() {
    let project = parted();
    let flow = PARTED.lines().filter(|line| !line.contains("unknown")).collect::<Vec<_>>().join("\n");
    project.write("flow.kdl", flow);
    assert_eq!(stage(&project.run(), "parted").status, StageStatus::Ran);
    assert_eq!(project.read("out/ids.csv"), "id\n1\n3\n5\n");
    project.write("flow.kdl", PARTED);
    project.run();
    assert_eq!(project.read("out/unknown.csv"), "id,who\n2,eve\n4,eve\n", "wanted later, made later");
}
