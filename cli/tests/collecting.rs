//! `flowc store gc` while others use the store, and where it can't write.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::processes::wait_until;
use support::project::Project;

const FLOW: &str = r#"
source "text" { files "text/*.txt" }
source "more" { stdin; format "lines" }
stage "words" { in "text"; std "tokenize@1"; config { column "line" }; cache #true }
stage "others" { in "more"; std "tokenize@1"; config { column "line" }; cache #true }
sink "words" { in "words"; file "words.csv" }
sink "others" { in "others"; file "others.csv" }
"#;

fn store(project: &Project) -> PathBuf {
    project.root().join("home/.cache/flowc")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Runs, with these lines from standard input.
fn run(project: &Project, lines: &str) -> String {
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut command = project.flowc(&["run"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_long_run_blocks_no_collection_and_loses_nothing() {
    let project = Project::new();
    project.write("flow.kdl", FLOW);
    project.write("text/a.txt", "one\n");
    run(&project, "x\n");
    project.write("text/a.txt", "two\n");
    let mut command = project.flowc(&["run"]);
    let mut long = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a run has the store open", || entries(&store(&project).join("leases")) == 1);
    let collected = project.flowc(&["store", "gc"]).output().unwrap();
    assert!(collected.status.success(), "{}", said(&collected));
    assert_eq!(long.try_wait().unwrap(), None, "it still reads its input");
    long.stdin.take().unwrap().write_all(b"y\n").unwrap();
    assert!(long.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(project.folder().join("words.csv")).unwrap(), "word\ntwo\n");

    let collected = project.flowc(&["store", "gc", "--json"]).output().unwrap();
    assert!(collected.status.success(), "{}", said(&collected));
    let again = run(&project, "y\n");
    assert!(again.contains("2 cached"), "{again}");
    let verified = project.flowc(&["store", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{}", said(&verified));
    assert_eq!(entries(&store(&project).join("leases")), 0);
}

#[test]
fn a_run_that_is_killed_holds_nothing() {
    let project = Project::new();
    project.write("flow.kdl", FLOW);
    project.write("text/a.txt", "one\n");
    let mut command = project.flowc(&["run"]);
    let mut long = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("a run has the store open", || {
        store(&project).join("leases").exists() && entries(&store(&project).join("leases")) > 0
    });
    long.kill().unwrap();
    long.wait().unwrap();
    let collected = project.flowc(&["store", "gc"]).output().unwrap();
    assert!(collected.status.success(), "{}", said(&collected));
    assert_eq!((entries(&store(&project).join("leases")), entries(&store(&project).join("objects"))), (0, 0));
}

/// A store on a file system of its own, which gets so many bytes of other files after a run.
fn on_file_system(project: &Project, options: &str, script: &str) -> String {
    let mounted = project.root().join("mounted");
    std::fs::create_dir_all(&mounted).unwrap();
    let script = format!("set -e; mount -t tmpfs -o {options} none {m}; {script}", m = mounted.display());
    let mut command: Command = project.program("unshare");
    let output = command.args(["-rm", "sh", "-c", &script]).output().unwrap();
    said(&output)
}

#[test]
fn a_store_that_is_full_or_read_only_is_said() {
    let project = Project::new();
    project.write(
        "flow.kdl",
        "source \"text\" { files \"a.txt\" }
         stage \"words\" { in \"text\"; std \"tokenize@1\"; config { column \"line\" }; cache #true }
         sink \"words\" { in \"words\"; file \"words.csv\" }",
    );
    project.write("a.txt", "one\n");
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mounted = project.root().join("mounted");
    let store = mounted.display();
    let run = format!("flowc run -q --store {store}/s; rm flow.lock flow.kdl");
    let full = format!("{run}; cat /dev/zero > {store}/fill 2> /dev/null || true; flowc store gc --store {store}/s");
    let said = on_file_system(&project, "size=64m", &full);
    assert!(said.contains("the disk is full") && !said.contains("flowc store gc"), "{said}");
    project.write("flow.kdl", "source \"text\" { files \"a.txt\" }\nsink \"out\" { in \"text\"; file \"o.csv\" }\n");
    let run = format!("flowc run -q --store {store}/s");
    let read_only = format!("{run}; mount -o remount,ro {store}; flowc store gc --store {store}/s");
    let said = on_file_system(&project, "size=64m", &read_only);
    assert!(said.contains("is read-only"), "{said}");
}
