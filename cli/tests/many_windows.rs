//! A hundred thousand windows, one after the other and all open together: every one is there, and memory stays within bounds.
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
    let (day, second) = (1 + seconds / 86_400, seconds % 86_400);
    format!("2024-03-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// Counts rows by key in windows of a second, after which rows may come so many seconds late. Each row has its second, and a key.
fn counting(delay: i64, rows: impl Iterator<Item = (i64, i64)>) -> Project {
    let project = Project::new();
    project.write(
        "flow.kdl",
        &format!(
            "source \"s\" {{ files \"s.csv\"; schema {{ column \"at\" \"Timestamp(s)\"; column \"key\" \"Int64\" }}; \
             event-time \"at\" delay=\"{delay}s\" }}\n\
             stage \"n\" {{ in \"s\" {{ window \"tumbling\" size=\"1s\" }}; std \"aggregate@1\"; config {{ by \"key\"; compute op=\"count\" }} }}\n\
             sink \"n\" {{ in \"n\"; file \"n.csv\" }}\n"
        ),
    );
    let mut text = "at,key\n".to_owned();
    rows.for_each(|(second, key)| writeln!(text, "{},{key}", time(second)).unwrap());
    project.write("s.csv", &text);
    project
}

/// Runs it, and holds memory against what is due, and rows: of each second two.
fn check(project: &Project) {
    let most = peak(project.flowc(&["run", "-q"]));
    let found = std::fs::read_to_string(project.folder().join("n.csv")).unwrap();
    let mut due = "window-start,window-end,key,count\n".to_owned();
    for second in 0..windows() {
        writeln!(due, "{},{},{},2", time(second), time(second + 1), second % 7).unwrap();
    }
    let differing = found.lines().zip(due.lines()).find(|(found, due)| found != due);
    assert!(found == due, "{differing:?}, {} of {} lines", found.lines().count(), due.lines().count());
    let bound = LEAST + windows() as u64 * MOST_EACH;
    assert!(most <= bound, "{} MiB, of which {} MiB were due", most >> 20, bound >> 20);
}

/// Two rows of each of these seconds.
fn twice(seconds: impl Iterator<Item = i64>) -> impl Iterator<Item = (i64, i64)> {
    seconds.flat_map(|second| [(second, second % 7); 2])
}

#[test]
fn so_many_windows_follow_one_another() {
    // Neighbouring seconds are out of order.
    check(&counting(3, twice((0..windows()).map(|second| second ^ 1))));
}

#[test]
fn so_many_windows_are_open_at_once() {
    // Each second comes once, in an order without any, and the watermark stays before all of them.
    check(&counting(windows(), twice((0..windows()).map(|place| place * 7919 % windows()))));
}
