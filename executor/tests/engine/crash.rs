//! `kill -9` at random instants, also of garbage collections: afterwards a run gives the same bytes as one that nobody disturbed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Project, all_cached};
use flowc_executor::{Cancel, Event, Options, RunRequest, Session};

const FLOW: &str = r#"
source "text" { files "text/*.txt" }
stage "words" { in "text"; std "tokenize@1"; config { column "line" }; cache #true }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
sink "words" { in "words"; directory "out/words"; format "csv" }
sink "counts" { in "counts"; file "out/counts.parquet" }
"#;

/// Tells a copy of this test binary to run a pipeline, until it is killed.
const CHILD: &str = "FLOWC_CRASH_CHILD";

fn run_in(folder: &Path, observer: fn(Event)) {
    let options = Options {
        pipeline: folder.join("flow.kdl"),
        store: folder.join(".store"),
        jobs: 2,
        params: Default::default(),
        ambient: Default::default(),
        locked: false,
        build: true,
        update_lock: false,
        require_isolation: false,
        memory: 512 << 20,
        budget: 8 << 30,
        workers: Vec::new(),
        gpu: None,
    };
    // Killed at any instant, it may also meet its own half-changed input: an error is as good as an end.
    let _ = Session::new(options).run(&RunRequest::default(), Arc::new(observer), Cancel::new());
}

#[test]
fn child_that_is_to_be_killed() {
    if let Some(folder) = std::env::var_os(CHILD) {
        run_in(Path::new(&folder), |_| ());
    }
}

/// Tells a copy of this test binary to run a pipeline, and to end as if killed once a sink has appeared.
const PLACING_CHILD: &str = "FLOWC_PLACING_CHILD";

#[test]
fn child_that_dies_when_its_files_are_in_place() {
    if let Some(folder) = std::env::var_os(PLACING_CHILD) {
        run_in(Path::new(&folder), |event| {
            if matches!(&event, Event::SinkWritten { sink, .. } if sink == "words") {
                std::process::abort();
            }
        });
    }
}

/// Tells a copy of this test binary to collect garbage, again and again, until it is killed.
const COLLECTING_CHILD: &str = "FLOWC_COLLECTING_CHILD";

#[test]
fn collecting_child_that_is_to_be_killed() {
    if let Some(folder) = std::env::var_os(COLLECTING_CHILD) {
        loop {
            let _ = flowc_executor::admin::gc(&Path::new(&folder).join(".store"), false);
        }
    }
}

/// Starts this test binary with one of the tests above.
fn child(test: &str, variable: &str, project: &Project) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", test]).env(variable, project.path("")).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a child")
}

fn change_inputs(project: &Project, round: u32) {
    for file in 0..12 {
        let text = format!("round {round} file {file} the quick brown fox\n").repeat(2000);
        if file % 4 == round % 4 || round == 0 {
            std::fs::write(project.path(&format!("text/{file}.txt")), text).expect("an input");
        }
    }
}

#[test]
fn killed_at_random_instants_nothing_is_lost_or_half_written() {
    let kills: u32 = std::env::var("FLOWC_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let project = Project::new(FLOW);
    project.write("text/first.txt", "one\n");
    change_inputs(&project, 0);
    project.run();
    for round in 1..=kills {
        change_inputs(&project, round);
        let run = child("crash::child_that_is_to_be_killed", CHILD, &project);
        let collecting = child("crash::collecting_child_that_is_to_be_killed", COLLECTING_CHILD, &project);
        // Instants spread over a whole run, by a fixed sequence.
        std::thread::sleep(Duration::from_millis(u64::from(round * 37 % 151)));
        for mut child in [run, collecting] {
            child.kill().expect("kill -9");
            child.wait().expect("its end");
        }
    }
    crate::support::settle();
    let report = project.run();
    let outputs = |project: &Project| {
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(project.path("out/words"))
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "csv"))
            .map(|path| (path.display().to_string(), std::fs::read(&path).expect("a file")))
            .collect();
        files.sort();
        files.push(("counts".to_owned(), std::fs::read(project.path("out/counts.parquet")).expect("a file")));
        files
    };
    let after_kills = outputs(&project);
    assert!(all_cached(&project.run()), "a run after that has nothing to do");
    std::fs::remove_dir_all(project.path("out")).expect("the outputs");
    project.new_store();
    let undisturbed = project.run();
    assert_eq!(report.outputs, undisturbed.outputs);
    assert_eq!(after_kills, outputs(&project));
}

/// The run has replaced files and is killed before it has remembered them; then somebody removes the folder's manifest, too.
#[test]
fn a_folder_that_loses_its_manifest_after_a_kill_is_still_the_sinks() {
    let project = Project::new(FLOW);
    project.write("text/first.txt", "one\n");
    change_inputs(&project, 0);
    project.run();
    let die = || {
        let mut child = child("crash::child_that_dies_when_its_files_are_in_place", PLACING_CHILD, &project);
        assert!(!child.wait().expect("its end").success());
        std::fs::remove_file(project.path("out/words").join(flowc_sinks::MANIFEST)).expect("the manifest");
    };
    for round in 1..=2 {
        change_inputs(&project, round);
        crate::support::settle();
        die();
    }
    std::fs::remove_file(project.path("text/first.txt")).expect("an input");
    change_inputs(&project, 3);
    project.write("out/words/mine.csv", "mine\n");
    let report = project.run();
    assert!(!project.path("out/words/first.csv").exists(), "what the sink wrote goes with its source");
    assert_eq!(project.read("out/words/mine.csv"), "mine\n");
    assert!(all_cached(&project.run()), "a run after that has nothing to do");
    std::fs::remove_dir_all(project.path("out")).expect("the outputs");
    project.new_store();
    assert_eq!(report.outputs, project.run().outputs);
}
