//! The processes of a sandbox, and what they take together.

use std::collections::BTreeMap;
use std::fs;

use rustix::fs::statvfs;
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::confine::SHARED_MEMORY;

/// Whether its processes can be seen: of another namespace, numbers mean other processes.
pub(crate) fn can_watch() -> bool {
    let this = getpid().as_raw_nonzero().get();
    fs::read_link("/proc/self").ok().and_then(|itself| itself.to_str()?.parse().ok()) == Some(this)
}

/// All processes that this one started, and those that these did; none where they can't be seen.
fn process_tree() -> Vec<Pid> {
    let this = getpid().as_raw_nonzero().get();
    if !can_watch() {
        return Vec::new();
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for number in numbers {
        if let Some(parent) = parent(number) {
            children.entry(parent).or_default().push(number);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![this];
    while let Some(number) = open.pop() {
        let below = children.remove(&number).unwrap_or_default();
        found.extend(below.iter().filter_map(|number| Pid::from_raw(*number)));
        open.extend(below);
    }
    found
}

fn parent(process: i32) -> Option<i32> {
    // A program's name may hold anything, so what follows the last bracket counts.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Kills all of them. Says whether there were any.
pub(crate) fn kill_tree() -> bool {
    let tree = process_tree();
    tree.iter().for_each(|pid| {
        // It may have ended by itself meanwhile.
        let _ = kill_process(*pid, Signal::KILL);
    });
    !tree.is_empty()
}

/// Whether they take more memory together than this, with the files in memory that are the sandbox's own. What several share
/// counts once.
pub(crate) fn takes_more(than: u64, has_own_files: bool) -> bool {
    let files = if has_own_files { used(SHARED_MEMORY) } else { 0 };
    let tree = process_tree();
    let sum = |of: fn(Pid) -> u64| files + tree.iter().map(|pid| of(*pid)).sum::<u64>();
    // What is looked at first is quick to find, and about as much or more.
    sum(at_most) > than && sum(exactly) > than
}

/// Bytes that a process takes, with all that it shares with others.
fn at_most(process: Pid) -> u64 {
    bytes(&read(process, "status"), &["RssAnon:", "VmSwap:", "VmPTE:"])
}

/// Bytes that a process takes, with its part of what it shares with others.
fn exactly(process: Pid) -> u64 {
    let rollup = read(process, "smaps_rollup");
    // It may not let others look.
    if rollup.is_empty() {
        return at_most(process);
    }
    bytes(&rollup, &["Pss_Anon:", "SwapPss:"]) + bytes(&read(process, "status"), &["VmPTE:"])
}

fn read(process: Pid, what: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{what}", process.as_raw_nonzero())).unwrap_or_default()
}

/// The sum of these fields, each of which is in KiB.
fn bytes(text: &str, fields: &[&str]) -> u64 {
    let kibibytes = |line: &str| line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    let lines = text.lines().filter(|line| fields.iter().any(|field| line.starts_with(field)));
    lines.filter_map(kibibytes).sum::<u64>() * 1024
}

/// Bytes of files in a file system.
fn used(path: &str) -> u64 {
    statvfs(path).map_or(0, |found| (found.f_blocks - found.f_bfree) * found.f_frsize)
}
