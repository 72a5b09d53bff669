//! Windows: what a changed file touches, joins window by window, and results that depend on nothing but the rows.

use crate::support::{Project, component, segments};

const ORDERS: &str = r#"
source "orders" {
    files "orders/*.csv"
    schema { column "at" "Timestamp(ms)"; column "who" "Utf8" }
    event-time "at" delay="1m"
}
source "payments" {
    files "payments.csv"
    schema { column "at" "Timestamp(ms)"; column "by" "Utf8" }
    event-time "at" delay="1m"
}
stage "matched" {
    in left="orders" { window "tumbling" size="5m" }
    in right="payments" { window "tumbling" size="5m" }
    wasm "matched.wasm"
    config { left "who"; right "by" }
}
sink "matched" { in "matched"; file "out.csv" }
sink "late" { in "matched.late-right"; file "late.csv" }
"#;

fn row(minute: i64, who: &str) -> String {
    format!("2024-03-01T{:02}:{:02}:00,{who}\n", 12 + minute / 60, minute % 60)
}

fn rows(head: &str, of: impl Iterator<Item = (i64, &'static str)>) -> String {
    std::iter::once(head.to_owned()).chain(of.map(|(minute, who)| row(minute, who))).collect()
}

fn project() -> Project {
    let project = Project::new(ORDERS);
    project.write("matched.wasm", component("matched"));
    project.write_all("orders/a.csv", rows("at,who\n", [(0, "a"), (4, "b"), (5, "a"), (12, "a")].into_iter()));
    project.write_all("orders/b.csv", rows("at,who\n", [(1, "a"), (6, "c")].into_iter()));
    project.write("payments.csv", rows("at,by\n", [(2, "a"), (7, "a"), (20, "d"), (3, "b")].into_iter()));
    project
}

#[test]
fn two_inputs_meet_window_by_window() {
    let project = project();
    let report = project.run();
    assert_eq!(segments(&report, "matched"), (4, 0));
    let found = project.read("out.csv");
    let due = "window-start,window-end,key,left,right\n\
               2024-03-01T12:00:00,2024-03-01T12:05:00,a,2,1\n\
               2024-03-01T12:00:00,2024-03-01T12:05:00,b,1,0\n\
               2024-03-01T12:05:00,2024-03-01T12:10:00,a,1,1\n\
               2024-03-01T12:05:00,2024-03-01T12:10:00,c,1,0\n\
               2024-03-01T12:10:00,2024-03-01T12:15:00,a,1,0\n\
               2024-03-01T12:20:00,2024-03-01T12:25:00,d,0,1\n";
    assert_eq!(found, due);
    let late = project.read("late.csv");
    assert_eq!(late.lines().nth(1), Some("2024-03-01T12:03:00,b,2024-03-01T12:05:00,840000,payments.csv,3"));
}

#[test]
fn a_changed_file_runs_the_windows_whose_rows_changed() {
    let project = project();
    project.run();
    project.write("orders/b.csv", rows("at,who\n", [(1, "a"), (6, "c"), (13, "e")].into_iter()));
    assert_eq!(segments(&project.run(), "matched"), (1, 3));
    let changed = project.read("out.csv");
    assert!(changed.contains("12:10:00,2024-03-01T12:15:00,e,1,0\n"), "{changed}");
    project.new_store();
    project.run();
    assert_eq!(project.read("out.csv"), changed, "nothing of the runs before is in the rows");
}

#[test]
fn a_window_whose_rows_are_all_late_gives_nothing() {
    let project = Project::new(
        "source \"s\" { files \"s.csv\"; event-time \"at\" }\n\
         stage \"n\" { in \"s\" { window \"tumbling\" size=\"1m\" }; std \"aggregate@1\"; config { compute op=\"count\" } }\n\
         sink \"n\" { in \"n\"; file \"n.csv\" }\n",
    );
    project.write("s.csv", "at\n2024-03-01T12:05:00\n2024-03-01T12:00:00\n");
    project.run();
    assert_eq!(
        project.read("n.csv"),
        "window-start,window-end,count\n2024-03-01T12:05:00,2024-03-01T12:06:00,1\n",
        "a count of no rows would be a row"
    );
}
