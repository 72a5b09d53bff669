//! The binary on a machine that fails it: full disks, read-only stores, flipped bits, and several processes at once.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::project::Project;

const COUNT: &str = r#"
source "lines" { files "text/*.txt" }
stage "words" { in "lines"; std "tokenize@1"; config { column "line" }; cache #true }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
sink "counts" { in "counts"; file "out/counts.csv" }
"#;

fn counting() -> Project {
    let project = Project::new();
    project.write("flow.kdl", COUNT);
    project.write("text/a.txt", "the sea\nthe hill\n");
    project
}

fn store(project: &Project) -> PathBuf {
    project.folder().join("../home/.cache/flowc")
}

fn read(project: &Project, name: &str) -> String {
    fs::read_to_string(project.folder().join(name)).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Runs flowc where no file may become longer than this. A write beyond that is an error, as on a full disk.
fn run_with_room(project: &Project, megabytes: usize) -> String {
    let blocks = megabytes * 2048;
    project.shell(&format!("trap '' XFSZ; ulimit -f {blocks}; exec flowc run"))
}

/// Twelve megabytes of words that are all different.
fn much() -> String {
    (0..1_200_000).map(|i| format!("w{i:08}\n")).collect()
}

#[test]
fn a_disk_that_is_full_for_the_sink_leaves_the_old_one() {
    let project = Project::new();
    project.write(
        "flow.kdl",
        "source \"lines\" { files \"a.txt\" }\nsink \"copy\" { in \"lines\"; file \"out/copy.txt\" }\n",
    );
    project.write("a.txt", "before\n");
    assert!(project.shell("flowc run").starts_with("exit 0\n"));
    project.write("a.txt", &much());
    let told = run_with_room(&project, 6);
    assert!(told.starts_with("exit 1\n") && told.contains("sink `copy`"), "{told}");
    assert!(told.contains("the disk is full"), "{told}");
    assert_eq!(read(&project, "out/copy.txt"), "before\n");
    assert_eq!(names(&project.folder().join("out")), ["copy.txt"], "nothing half-written");
    assert!(project.shell("flowc run").starts_with("exit 0\n"));
    assert!(read(&project, "out/copy.txt") == much());
}

#[test]
fn a_disk_that_is_full_for_the_store_leaves_it_whole() {
    let project = counting();
    assert!(project.shell("flowc run").starts_with("exit 0\n"));
    let before = read(&project, "out/counts.csv");
    project.write("text/b.txt", &much());
    let told = run_with_room(&project, 6);
    assert!(told.starts_with("exit 3\n") && told.contains("the disk is full"), "{told}");
    assert_eq!(read(&project, "out/counts.csv"), before);
    assert!(project.shell("flowc store verify").contains("every stored result has its digest"));
    assert_eq!(names(&store(&project).join("tmp")), [""; 0], "nothing half-written");
    assert!(project.shell("flowc run").starts_with("exit 0\n"));
    assert_eq!(read(&project, "out/counts.csv").lines().count(), 1 + 3 + 1_200_000);
}

#[test]
fn flipped_bits_are_found_and_never_served() {
    let project = counting();
    assert!(project.shell("flowc run").starts_with("exit 0\n"));
    let before = read(&project, "out/counts.csv");
    for object in fs::read_dir(store(&project).join("objects")).unwrap() {
        let path = object.unwrap().path();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        (0..bytes.len()).step_by(97).for_each(|at| bytes[at] ^= 4);
        fs::write(&path, bytes).unwrap();
    }
    let told = project.shell("flowc store verify");
    assert!(told.starts_with("exit 3\n"), "{told}");
    fs::remove_file(project.folder().join("out/counts.csv")).unwrap();
    let told = project.shell("flowc run");
    assert!(told.starts_with("exit 0\n") && told.contains("damaged"), "{told}");
    assert_eq!(read(&project, "out/counts.csv"), before);
    assert!(project.shell("flowc store verify --repair; flowc store verify").contains("every stored result"));
    assert_eq!(read(&project, "out/counts.csv"), before);
}

#[test]
fn processes_that_use_a_component_for_the_first_time_at_once_all_get_it() {
    let project = counting();
    let runs: Vec<_> = (0..4).map(|_| project.flowc(&["run", "-q"]).spawn().unwrap()).collect();
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    assert_eq!(read(&project, "out/counts.csv"), "word,count\nhill,1\nsea,1\nthe,2\n");
    assert_eq!(names(&store(&project).join("tmp")), [""; 0], "nothing half-written");
    assert_eq!(names(&store(&project).join("cwasm")).len(), 2, "one compiled file a component");
}

/// Takes the right to write to the store from everybody, the tester too.
fn seal(folder: &Path, writable: bool) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            seal(&entry, writable);
        } else {
            fs::set_permissions(&entry, Permissions::from_mode(if writable { 0o644 } else { 0o444 })).unwrap();
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(if writable { 0o755 } else { 0o555 })).unwrap();
}

/// Runs a copy of flowc over a sealed store, as a user without rights where the tester has all.
fn run_sealed(project: &Project) -> (Option<i32>, String) {
    let root = project.folder().parent().unwrap().to_owned();
    let program = root.join("flowc");
    // Not copied by this process: what other tests start meanwhile would hold the file open for writing for a moment, and a
    // file that is open for writing can't be executed.
    let programs = [env!("CARGO_BIN_EXE_flowc"), env!("CARGO_BIN_EXE_flowc-engine")];
    let copied = Command::new("cp").args(programs).arg(&root).status().unwrap();
    assert!(copied.success());
    fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(project.folder(), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(project.folder().join("out"), Permissions::from_mode(0o777)).unwrap();
    let mut command = project.program(&program);
    command.arg("run");
    if fs::metadata(&root).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    seal(&store(project), false);
    let output = command.output().unwrap();
    seal(&store(project), true);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_read_only_store_serves_what_it_has_and_says_what_it_cannot_take() {
    let project = counting();
    assert!(project.shell("flowc run").starts_with("exit 0\n"));
    let before = read(&project, "out/counts.csv");
    let (code, told) = run_sealed(&project);
    assert_eq!(code, Some(0), "nothing to do, nothing to write: {told}");
    project.write("text/a.txt", "the land\n");
    let (code, told) = run_sealed(&project);
    assert_eq!(code, Some(3), "{told}");
    assert!(told.contains("is read-only"), "{told}");
    assert_eq!(read(&project, "out/counts.csv"), before);
    assert_eq!(names(&project.folder().join("out")), ["counts.csv"], "nothing half-written");
    assert!(project.shell("flowc run").starts_with("exit 0\n"));
    assert_eq!(read(&project, "out/counts.csv"), "word,count\nland,1\nthe,1\n");
}
