//! A process that commits a folder over and over is killed at random instants: the folder is always one version, whole.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use arrow_array::RecordBatch;
use common::*;
use flowc_sinks::MANIFEST;

/// Versions come in turn with three and with four files; every row says its version.
fn commit_version(base: &Path, version: i64) {
    let rows = [numbers(version..version + 1)];
    let files = ["a", "b", "c", "d"].map(|name| (name, &rows[..]));
    let files: &[(&str, &[RecordBatch])] = if version % 2 == 0 { &files[..3] } else { &files };
    write(&folder("out", csv()), base, files, None).unwrap();
}

/// What the killed process runs; nothing unless it is asked to.
#[test]
fn child() {
    let Ok(base) = std::env::var("FLOWC_SINK_CHILD") else { return };
    for version in 0.. {
        commit_version(Path::new(&base), version);
        println!("version {version}");
    }
}

/// The version that the folder holds; panics unless it is exactly one.
fn version_of(out: &Path) -> i64 {
    let files: Vec<_> = names(out).into_iter().filter(|name| name.ends_with(".csv")).collect();
    let version = |name: &String| {
        let text = fs::read_to_string(out.join(name)).unwrap();
        text.lines().nth(1).unwrap().split(',').next().unwrap().parse::<i64>().unwrap()
    };
    let versions: Vec<_> = files.iter().map(version).collect();
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "{files:?}: {versions:?}");
    assert_eq!(files.len(), if versions[0] % 2 == 0 { 3 } else { 4 });
    versions[0]
}

fn run_and_kill(base: &Path, after: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("FLOWC_SINK_CHILD", base)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("version")), "the child commits");
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_commit_leaves_one_version_whole() {
    let kills: u64 = std::env::var("FLOWC_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    for kill in 0..kills {
        let spread = u64::from(blake3::hash(&kill.to_le_bytes()).as_bytes()[0]);
        run_and_kill(dir.path(), Duration::from_micros(spread * 150));
        version_of(&out);
        assert_eq!(fs::read(out.join("notes.txt")).unwrap(), b"mine");
    }
    commit_version(dir.path(), 1_000_000);
    assert_eq!(version_of(&out), 1_000_000);
    assert_eq!(names(dir.path()), ["out"], "leftovers of killed runs are gone");
    assert_eq!(names(&out), [MANIFEST, "a.csv", "b.csv", "c.csv", "notes.txt"]);
}
