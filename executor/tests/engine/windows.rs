//! Windows: what a changed file touches, joins window by window, and results that depend on nothing but the rows.

use flowc_executor::{Event, Reason, RunRequest};

use crate::support::{Project, component, segments, stage};

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
    let hour = 12 + minute / 60;
    format!("2024-03-{:02}T{:02}:{:02}:00,{who}\n", 1 + hour / 24, hour % 24, minute % 60)
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

/// A pipeline that counts rows by name in windows, and no sink that reads late rows.
fn counting(window: &str) -> Project {
    Project::new(&format!(
        "source \"s\" {{\n    files \"s/*.csv\"\n    schema {{ column \"at\" \"Timestamp(s)\"; column \"name\" \"Utf8\" }}\n    \
         event-time \"at\" delay=\"2m\"\n}}\n\
         stage \"n\" {{ in \"s\" {{ window {window} }}; std \"aggregate@1\"; config {{ by \"name\"; compute op=\"count\" }} }}\n\
         sink \"n\" {{ in \"n\"; file \"n.csv\" }}\n"
    ))
}

/// Rows of three names, out of order by up to three minutes.
fn disorder(first: i64, rows: i64) -> String {
    let names = ["a", "b", "c"];
    let minute = |row: i64| first + row / 2 - (row * 7919) % 4;
    self::rows("at,name\n", (0..rows).map(|row| (minute(row), names[row as usize % 3])))
}

#[test]
fn windows_that_share_rows_give_what_their_rows_alone_give() {
    let mut project = counting("\"sliding\" size=\"10m\" slide=\"2m\" lateness=\"30s\"");
    project.write_all("s/a.csv", disorder(10, 120));
    project.write("s/b.csv", disorder(30, 90));
    let report = project.run();
    let windows = segments(&report, "n").0;
    let merged = project.read("n.csv");
    assert!(windows > 30 && merged.lines().count() > 90, "{merged}");
    // What is forced is not made of partials.
    let forced = RunRequest { force: vec!["n".to_owned()], ..RunRequest::default() };
    assert_eq!(segments(&project.try_run(&forced).unwrap(), "n"), (windows, 0));
    assert_eq!(project.read("n.csv"), merged);
    project.new_store();
    assert_eq!(segments(&project.try_run(&forced).unwrap(), "n"), (windows, 0));
    assert_eq!(project.read("n.csv"), merged);
    project.new_store();
    project.jobs = 1;
    project.run();
    assert_eq!(project.read("n.csv"), merged);
}

#[test]
fn a_row_more_runs_the_windows_that_it_is_in() {
    let project = counting("\"sliding\" size=\"10m\" slide=\"2m\"");
    let rows = disorder(10, 120);
    project.write("s/a.csv", &rows);
    let windows = segments(&project.run(), "n").0;
    project.write("s/a.csv", format!("{rows}{}", row(69, "d")));
    assert_eq!(segments(&project.run(), "n"), (5, windows - 5));
    let changed = project.read("n.csv");
    project.new_store();
    project.run();
    assert_eq!(project.read("n.csv"), changed);
}

fn dropped(events: &[Event]) -> Vec<u64> {
    let rows = |event: &Event| match event {
        Event::LateRows { stage, input, rows, stream } => {
            assert_eq!((stage.as_str(), input.as_str(), stream.as_str()), ("n", "in", "n.late"));
            Some(*rows)
        }
        _ => None,
    };
    events.iter().filter_map(rows).collect()
}

#[test]
fn rows_that_are_dropped_are_told_in_every_run_and_those_that_are_read_are_not() {
    let project = counting("\"sliding\" size=\"2m\" slide=\"1m\"");
    // The last of the first file is late for both of its windows, and counts once; one has no time.
    project.write_all("s/a.csv", format!("{},b\n", rows("at,name\n", [(0, "a"), (20, "a"), (3, "b")].into_iter())));
    project.write("s/b.csv", rows("at,name\n", [(1, "a"), (2, "b")].into_iter()));
    assert_eq!(dropped(&project.run_watched().1), [2]);
    assert_eq!(dropped(&project.run_watched().1), [2], "nothing has changed");
    project.write("s/b.csv", rows("at,name\n", [(30, "a"), (2, "b")].into_iter()));
    assert_eq!(dropped(&project.run_watched().1), [3]);
    project.write(
        "flow.kdl",
        format!("{}sink \"late\" {{ in \"n.late\"; file \"late.csv\" }}\n", project.read("flow.kdl")),
    );
    assert!(dropped(&project.run_watched().1).is_empty());
    assert_eq!(project.read("late.csv").lines().count(), 1 + 2 * 2 + 1);
}

#[test]
fn a_changed_window_is_told_as_what_it_is() {
    let project = counting("\"tumbling\" size=\"5m\"");
    project.write("s/a.csv", disorder(10, 120));
    project.run();
    let reasons = |from: &str, to: &str| {
        project.write("flow.kdl", project.read("flow.kdl").replace(from, to));
        stage(&project.run(), "n").reasons.clone()
    };
    let window = |before: &str, now: &str| {
        let words = |of: &str| Some(format!("tumbling {of}"));
        vec![Reason::Window { input: "in".into(), before: words(before), now: words(now) }]
    };
    assert_eq!(reasons("size=\"5m\"", "size=\"4m\""), window("5m by at, delay 2m", "4m by at, delay 2m"));
    assert_eq!(reasons("delay=\"2m\"", "delay=\"1m\""), window("4m by at, delay 2m", "4m by at, delay 1m"));
}

#[test]
fn a_session_that_never_ends_is_one_window_over_all_files() {
    let project = counting("\"session\" gap=\"30m\" by=\"name\"");
    let every = |first: i64| (0..40).map(move |row| (first + row * 29, "a"));
    project.write_all("s/a.csv", rows("at,name\n", every(0)));
    project.write("s/b.csv", rows("at,name\n", every(40 * 29)));
    project.run();
    assert_eq!(
        project.read("n.csv"),
        "window-start,window-end,name,count\n2024-03-01T12:00:00,2024-03-03T02:41:00,a,80\n"
    );
}

#[test]
fn a_time_far_ahead_makes_late_what_follows_and_no_windows_between() {
    let project = counting("\"sliding\" size=\"2m\" slide=\"1m\"");
    project.write("s/a.csv", "at,name\n1969-12-31T23:59:30,a\n9998-12-31T23:59:30,b\n2024-03-01T12:00:00,c\n");
    let (report, events) = project.run_watched();
    assert_eq!(dropped(&events), [1]);
    assert_eq!(segments(&report, "n"), (6, 0));
    assert_eq!(
        project.read("n.csv"),
        "window-start,window-end,name,count\n\
         1969-12-31T23:58:00,1970-01-01T00:00:00,a,1\n1969-12-31T23:59:00,1970-01-01T00:01:00,a,1\n\
         9998-12-31T23:58:00,9999-01-01T00:00:00,b,1\n9998-12-31T23:59:00,9999-01-01T00:01:00,b,1\n"
    );
}

#[test]
fn rows_are_counted_through_all_files_and_a_changed_file_runs_the_keys_that_it_touches() {
    let project = counting("\"count\" rows=3 by=\"name\"");
    project.write_all("s/a.csv", rows("at,name\n", [(9, "a"), (1, "b"), (0, "a"), (5, "a"), (5, "a")].into_iter()));
    project.write("s/b.csv", rows("at,name\n", [(2, "b"), (2, "a"), (2, "a"), (7, "a")].into_iter()));
    assert_eq!(segments(&project.run(), "n"), (16, 0));
    assert_eq!(
        project.read("n.csv").lines().collect::<std::collections::BTreeSet<_>>(),
        ["window-start,window-end,name,count", "0,3,a,3", "3,6,a,3", "6,9,a,1", "0,3,b,2"].into()
    );
    project.write("s/b.csv", rows("at,name\n", [(2, "b"), (2, "a"), (2, "a"), (7, "b")].into_iter()));
    assert_eq!(segments(&project.run(), "n"), (2, 14));
    assert!(project.read("n.csv").contains("0,3,b,3\n"));
}

/// Every kind of windows over the rows of one name: the rows of other names are left out before the windows, or after them.
fn of_one_name(first: bool) -> Project {
    let kinds = [
        ("tumbling", "\"tumbling\" size=\"10m\" lateness=\"30s\""),
        ("sliding", "\"sliding\" size=\"10m\" slide=\"2m\" lateness=\"30s\""),
        ("days", "\"calendar\" size=\"1d\" zone=\"Europe/Oslo\""),
        ("visits", "\"session\" gap=\"3m\" by=\"name\""),
    ];
    let mut flow = "source \"s\" {\n    files \"s/*.csv\"\n    schema { column \"at\" \"Timestamp(s)\"; column \"name\" \"Utf8\" }\n    \
         event-time \"at\" delay=\"1m\"\n}\n"
        .to_owned();
    let filter = |name: &str, from: &str| {
        format!(
            "stage \"{name}\" {{ in \"{from}\"; std \"filter@1\"; config {{ where column=\"name\" op=\"=\" value=\"a\" }} }}\n"
        )
    };
    if first {
        flow += &filter("picked", "s");
        // A stage that hands on all rows may follow.
        flow += "stage \"of-a\" { in \"picked\"; std \"select@1\"; config { keep \"name\" \"at\" } }\n";
    }
    for (kind, window) in kinds {
        let (input, counts) = if first { ("of-a", kind.to_owned()) } else { ("s", format!("{kind}-all")) };
        flow += &format!(
            "stage \"{counts}\" {{ in \"{input}\" {{ window {window} }}; std \"aggregate@1\"; config {{ by \"name\"; compute op=\"count\" }} }}\n"
        );
        flow += &if first { String::new() } else { filter(kind, &counts) };
        flow += &format!("sink \"{kind}\" {{ in \"{kind}\"; file \"{kind}.csv\" }}\n");
    }
    let late = if first { "tumbling.late" } else { "late" };
    flow += &if first { String::new() } else { filter("late", "tumbling-all.late") };
    let keep = "keep \"at\" \"name\" \"window-end\" \"late-by\" \"partition\" \"position\"";
    flow += &format!(
        "stage \"told\" {{ in \"{late}\"; std \"select@1\"; config {{ {keep} }} }}\nsink \"late\" {{ in \"told\"; file \"late.csv\" }}\n"
    );
    Project::new(&flow)
}

#[test]
fn rows_are_late_by_all_rows_of_the_source_also_where_some_are_left_out_before() {
    let (before, after) = (of_one_name(true), of_one_name(false));
    for (file, first, rows) in [("s/a.csv", 10, 300), ("s/b.csv", 3, 200), ("s/c.csv", 400, 60)] {
        [&before, &after].iter().for_each(|project| project.write_all(file, disorder(first, rows)));
    }
    before.write("s/d.csv", "at,name\n2024-03-01T12:00:00,b\n,a\n,b\n");
    after.write("s/d.csv", before.read("s/d.csv"));
    before.run();
    after.run();
    for sink in ["tumbling", "sliding", "days", "visits", "late"] {
        let (found, due) = (before.read(&format!("{sink}.csv")), after.read(&format!("{sink}.csv")));
        assert!(due.lines().count() > 1, "{sink}: {due}");
        assert_eq!(found, due, "{sink}");
    }
    before.new_store();
    let forced: Vec<String> = ["tumbling", "sliding", "days", "visits"].map(str::to_owned).into();
    before.try_run(&RunRequest { force: forced, ..RunRequest::default() }).unwrap();
    assert_eq!(before.read("sliding.csv"), after.read("sliding.csv"), "forced");
}

#[test]
fn a_row_that_is_left_out_runs_no_window_unless_it_makes_others_late() {
    let project = of_one_name(true);
    project.write("s/a.csv", disorder(10, 120));
    let windows = segments(&project.run(), "tumbling").0;
    let counted = project.read("tumbling.csv");
    // The last row of all is left out: it makes none late.
    project.write("s/a.csv", disorder(10, 120) + &row(60, "b"));
    assert_eq!(segments(&project.run(), "tumbling"), (0, windows));
    assert_eq!(project.read("tumbling.csv"), counted);
    // The first one is left out, too, and makes late all of the hours after it.
    let far = format!("at,name\n{}{}", row(90, "b"), disorder(10, 120).trim_start_matches("at,name\n"));
    project.write("s/a.csv", far);
    project.run();
    assert_eq!(project.read("tumbling.csv").lines().count(), 1);
    assert_eq!(project.read("late.csv").lines().count(), 1 + 40);
}

#[test]
fn whatever_changes_in_files_the_windows_are_those_of_a_new_store() {
    let (project, fresh) = (of_one_name(true), of_one_name(true));
    let mut state = 11u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut files: Vec<Vec<String>> = [(10, 60), (3, 40), (40, 30)]
        .map(|(first, rows)| disorder(first, rows).lines().skip(1).map(str::to_owned).collect())
        .into();
    for step in 0..6 {
        let (file, kind) = (next(files.len()), next(4));
        let rows = &mut files[file];
        let (at, minute) = (next(rows.len() + 1), 10 + next(60) as i64);
        let name = ["a", "a", "b"][next(3)];
        match kind {
            0 => rows.push(row(minute, name).trim_end().to_owned()),
            1 => rows.insert(at, row(minute, name).trim_end().to_owned()),
            2 if at < rows.len() => drop(rows.remove(at)),
            _ => rows.rotate_left(at.min(3)),
        }
        for (number, rows) in files.iter().enumerate() {
            let text = format!("at,name\n{}\n", rows.join("\n"));
            [&project, &fresh].iter().for_each(|project| project.write_all(&format!("s/{number}.csv"), &text));
        }
        crate::support::settle();
        project.run();
        fresh.new_store();
        fresh.run();
        for sink in ["tumbling", "sliding", "days", "visits", "late"] {
            let name = format!("{sink}.csv");
            assert_eq!(project.read(&name), fresh.read(&name), "step {step}, {sink}");
        }
    }
}

/// Sums numbers of each of 200 minutes, and sorts them. The sums of these minutes are out of range.
fn summing(too_large: &[i64]) -> Project {
    let project = Project::new(
        "source \"s\" { files \"s.csv\"; schema { column \"at\" \"Timestamp(s)\"; column \"n\" \"Int64\" }; event-time \"at\" delay=\"9m\" }\n\
         stage \"sums\" { in \"s\" { window \"tumbling\" size=\"1m\" }; std \"aggregate@1\"; config { compute op=\"sum\" column=\"n\" as=\"sum\" } }\n\
         stage \"sorted\" { in \"s\" { window \"tumbling\" size=\"1m\" }; std \"sort@1\"; config { by column=\"n\" } }\n\
         sink \"sums\" { in \"sums\"; file \"sums.csv\" }\n\
         sink \"sorted\" { in \"sorted\"; file \"sorted.csv\" }\n",
    );
    project.write("s.csv", numbers(too_large));
    project
}

fn numbers(too_large: &[i64]) -> String {
    let number = |minute: i64, small: i64| if too_large.contains(&minute) { i64::MAX } else { small };
    let rows = (0..200).map(|minute| minute ^ 3).flat_map(|minute| [(minute, 7), (minute, minute)]);
    let row = |(minute, small)| row(minute, &number(minute, small).to_string());
    std::iter::once("at,n\n".to_owned()).chain(rows.map(row)).collect()
}

#[test]
fn windows_are_the_same_however_many_of_them_one_job_does() {
    let mut project = summing(&[]);
    let mut found = Vec::new();
    // With so many threads there is a job for each window.
    for jobs in [1, 3, 100] {
        project.jobs = jobs;
        project.new_store();
        let report = project.run();
        assert_eq!([segments(&report, "sums"), segments(&report, "sorted")], [(200, 0); 2], "{jobs} threads");
        found.push((report.outputs.clone(), project.read("sums.csv"), project.read("sorted.csv")));
        // Each window has its own result: one of them is made anew, whoever made the others.
        project.write("s.csv", numbers(&[]).replace("13:20:00,80\n", "13:20:00,81\n"));
        project.jobs = 101 - jobs;
        let report = project.run();
        assert_eq!([segments(&report, "sums"), segments(&report, "sorted")], [(1, 199); 2], "{jobs} threads");
        project.write("s.csv", numbers(&[]));
        assert_eq!(segments(&project.run(), "sums"), (0, 200));
    }
    assert!(found[0].1.contains("13:20:00,2024-03-01T13:21:00,87\n"), "{}", found[0].1);
    assert!(found.iter().all(|other| *other == found[0]));
}

#[test]
fn a_window_that_fails_is_told_by_its_name_and_those_of_its_job_are_kept() {
    let mut project = summing(&[5, 130]);
    project.jobs = 1;
    let message = project.failure();
    assert!(message.contains("2024-03-01T12:05:00Z") && !message.contains("14:10:00"), "{message}");
    let request = RunRequest { keep_going: true, ..RunRequest::default() };
    let failure = project.try_run(&request).expect_err("two sums are out of range");
    let messages: Vec<String> = failure.errors.iter().map(crate::support::describe).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    for (message, window) in messages.iter().zip(["12:05:00Z", "14:10:00Z"]) {
        assert!(message.contains(window) && message.contains("out of the range of Int64"), "{message}");
    }
    assert!(!project.path("sums.csv").exists() && project.path("sorted.csv").exists());
    project.write("s.csv", numbers(&[]));
    let report = project.run();
    assert_eq!([segments(&report, "sums"), segments(&report, "sorted")], [(2, 198); 2]);
}
