//! A hundred thousand windows at once, one after the other and all open together: every one is there, and memory stays within bounds.
//! By default there are fewer, with the same bound for each.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fmt::Write;

use support::processes::peak;
use support::project::Project;

/// What a window may take of memory while it is open, beside its rows: its keys, its task, what is known of its results.
const MOST_EACH: u64 = 12 << 10;
/// What flowc takes without any: itself, its threads, compiled stages, results that are not written yet.
const LEAST: u64 = 512 << 20;

fn windows() -> i64 {
    if std::env::var_os("FLOWC_LONG").is_some() { 100_000 } else { 1_500 }
}

/// A time so many seconds after the first one.
fn time(seconds: i64) -> String {
    let (day, second) = (1 + seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let month = if day < 1 { 2 } else { 3 };
    let day = if day < 1 { day + 29 } else { day };
    format!("2024-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Counts rows by key in windows. Each row has its second, and a key.
fn counting(window: &str, rows: impl Iterator<Item = (i64, i64)>) -> Project {
    let project = Project::new();
    project.write(
        "flow.kdl",
        &format!(
            "source \"s\" {{ files \"s.csv\"; schema {{ column \"at\" \"Timestamp(s)\"; column \"key\" \"Int64\" }}; \
             event-time \"at\" delay=\"3s\" }}\n\
             stage \"n\" {{ in \"s\" {{ window {window} }}; std \"aggregate@1\"; config {{ by \"key\"; compute op=\"count\" }} }}\n\
             sink \"n\" {{ in \"n\"; file \"n.csv\" }}\n"
        ),
    );
    let mut text = "at,key\n".to_owned();
    rows.for_each(|(second, key)| writeln!(text, "{},{key}", time(second)).unwrap());
    project.write("s.csv", &text);
    project
}

/// Runs it, and holds its rows and memory against what is due.
fn check(project: &Project, due: &str) {
    let most = peak(project.flowc(&["run", "-q"]));
    let found = std::fs::read_to_string(project.folder().join("n.csv")).unwrap();
    let differing = found.lines().zip(due.lines()).find(|(found, due)| found != due);
    assert!(found == due, "{differing:?}, {} of {} lines", found.lines().count(), due.lines().count());
    let bound = LEAST + windows() as u64 * MOST_EACH;
    assert!(most <= bound, "{} MiB, of which {} MiB were due", most >> 20, bound >> 20);
}

fn head() -> String {
    "window-start,window-end,key,count\n".to_owned()
}

#[test]
fn so_many_windows_follow_one_another() {
    // Neighbouring seconds are out of order.
    let rows = (0..windows()).flat_map(|second| [(second ^ 1, second % 7), (second ^ 1, second % 7)]);
    let mut due = head();
    for second in 0..windows() {
        writeln!(due, "{},{},{},2", time(second), time(second + 1), (second ^ 1) % 7).unwrap();
    }
    check(&counting("\"tumbling\" size=\"1s\"", rows), &due);
}

#[test]
fn so_many_windows_are_open_at_once() {
    let windows = windows();
    let rows = [(0, 1), (1, 1), (2, 1)];
    let mut due = head();
    for first in 1 - windows..=2 {
        let count = rows.iter().filter(|(second, _)| (first..first + windows).contains(second)).count();
        writeln!(due, "{},{},1,{count}", time(first), time(first + windows)).unwrap();
    }
    check(&counting(&format!("\"sliding\" size=\"{windows}s\" slide=\"1s\""), rows.into_iter()), &due);
}
