//! The memory of the whole process stays within `--budget`, whatever stages send and how many of them work at once.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use support::processes::peak;
use support::project::Project;

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 128 * MIB;

/// Eight tasks of which each has a stage that gives some 25 MiB, in batches as large as it likes, and one that takes them in.
fn pipeline(isolate: &str, rows: u64) -> Project {
    let project = Project::new();
    let columns = "column { name \"n\"; kind \"sequence\" }; column { name \"t\"; kind \"text\"; words 40 }";
    let text = format!(
        "stage \"made\" {{ std \"generate@1\"; {isolate}; config {{ rows {rows}; rows-per-part {}; {columns} }} }}
         stage \"last\" {{ in \"made\"; std \"filter@1\"; {isolate}; config {{ where {{ column \"t\"; op \"contains\"; value \"zzz\" }} }} }}
         sink \"last\" {{ in \"last\"; file \"last.parquet\" }}",
        rows.div_ceil(8)
    );
    project.write("flow.kdl", &text);
    project
}

/// The most memory that flowc held at once while it ran.
fn peak_of(project: &Project) -> u64 {
    let budget = format!("{}MiB", BUDGET / MIB);
    peak(project.flowc(&["run", "-q", "--budget", &budget, "--memory", "32MiB", "--jobs", "8"]))
}

#[test]
fn a_run_keeps_to_its_budget() {
    for isolate in ["isolate #false", "isolate \"process\""] {
        // What flowc takes without any rows: itself, its threads, compiled stages.
        let least = peak_of(&pipeline(isolate, 8));
        let project = pipeline(isolate, 800_000);
        let most = peak_of(&project);
        assert!(most <= least + BUDGET, "{isolate}: {} MiB, of which {} MiB at least", most / MIB, least / MIB);
    }
}
