//! Keyed inputs: rows of one key together, and a change runs the groups of keys that it touches.

use std::collections::BTreeMap;

use crate::support::{Project, all_cached, component, segments};

/// Groups that a keyed input is parted into.
const GROUPS: u64 = 16;

const VISITS: &str = r#"
source "visits" {
    files "visits/*.csv"
    schema { column "who" "Utf8"; column "spent" "Int64"; column "note" "Utf8" }
}
stage "numbered" { in "visits"; wasm "numbered.wasm"; config { by "who"; sum "spent" } }
sink "rows" { in "numbered.rows"; file "out/rows.csv" }
sink "totals" { in "numbered.totals"; file "out/totals.csv" }
"#;

/// A row: who, spent, note.
type Visit = (String, i64, String);

/// The visits of a file: all keys come in several files, and a file has some of them several times.
fn visits(file: usize) -> Vec<Visit> {
    let visit = |row: usize| (format!("p{}", (file * 7 + row * row) % 40), row as i64, format!("{file}-{row:02}"));
    (0..50).map(visit).collect()
}

fn csv(visits: &[Visit]) -> String {
    let rows = visits.iter().map(|(who, spent, note)| format!("{who},{spent},{note}\n"));
    format!("who,spent,note\n{}", rows.collect::<String>())
}

fn project(flow: &str) -> Project {
    let project = Project::new(flow);
    project.write("numbered.wasm", component("numbered"));
    (0..5).for_each(|file| project.write(&format!("visits/{file}.csv"), csv(&visits(file))));
    project
}

fn records(text: &str) -> Vec<Vec<String>> {
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Holds the outputs against what a plain loop over the visits gives.
fn check(project: &Project, all: &[Visit]) {
    let mut totals: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (who, spent, note) in all {
        let (count, sum) = totals.entry(who).or_default();
        (*count, *sum) = (*count + 1, *sum + spent);
        rows.push(vec![who.clone(), spent.to_string(), note.clone(), count.to_string()]);
    }
    let due: Vec<Vec<String>> =
        totals.iter().map(|(who, (rows, sum))| vec![who.to_string(), rows.to_string(), sum.to_string()]).collect();
    let mut found = records(&project.read("out/totals.csv"));
    found.sort();
    assert_eq!(found, due);
    let mut found = records(&project.read("out/rows.csv"));
    let in_order = |who: &str| {
        found
            .iter()
            .filter(|row| row[0] == who)
            .map(|row| row[3].parse::<usize>().expect("a number"))
            .collect::<Vec<_>>()
    };
    for (who, (rows, _)) in &totals {
        assert_eq!(in_order(who), (1..=*rows as usize).collect::<Vec<_>>(), "{who}");
    }
    found.sort();
    rows.sort();
    assert_eq!(found, rows);
}

fn all(change: impl Fn(usize, &mut Vec<Visit>)) -> Vec<Visit> {
    let file = |file| {
        let mut visits = visits(file);
        change(file, &mut visits);
        visits
    };
    (0..5).flat_map(file).collect()
}

#[test]
fn rows_of_one_key_come_together_in_their_order() {
    let project = project(VISITS);
    let report = project.run();
    assert_eq!(segments(&report, "numbered"), (GROUPS, 0));
    check(&project, &all(|_, _| ()));
    assert!(all_cached(&project.run()));
}

#[test]
fn groups_give_the_same_bytes_with_any_number_of_threads() {
    let mut project = project(VISITS);
    project.jobs = 1;
    let one = project.run().outputs;
    let bytes = [project.read("out/rows.csv"), project.read("out/totals.csv")];
    for jobs in [2, 8] {
        project.jobs = jobs;
        project.new_store();
        assert_eq!(project.run().outputs, one);
        assert_eq!([project.read("out/rows.csv"), project.read("out/totals.csv")], bytes);
    }
}

#[test]
fn a_changed_segment_runs_the_groups_that_it_touches() {
    let project = project(VISITS);
    project.run();
    let spend_more = |file: usize, visits: &mut Vec<Visit>| {
        if file == 3 {
            visits[10].1 = 1000;
        }
    };
    let mut changed = visits(3);
    spend_more(3, &mut changed);
    project.write("visits/3.csv", csv(&changed));
    assert_eq!(segments(&project.run(), "numbered"), (1, GROUPS - 1));
    check(&project, &all(spend_more));

    changed[20].2 = "another note".to_owned();
    project.write("visits/3.csv", csv(&changed));
    assert_eq!(segments(&project.run(), "numbered"), (1, GROUPS - 1), "a column that is passed on");

    let row = changed.remove(30);
    changed.push(("somebody new".to_owned(), row.1, row.2));
    project.write("visits/3.csv", csv(&changed));
    let (ran, cached) = segments(&project.run(), "numbered");
    assert!((1..=2).contains(&ran), "the groups of the old and of the new key: {ran}");
    assert_eq!(ran + cached, GROUPS);
}

#[test]
fn a_new_and_a_removed_segment_run_the_groups_of_their_keys() {
    let project = project(VISITS);
    project.run();
    let before = [project.read("out/rows.csv"), project.read("out/totals.csv")];
    project.write("visits/9.csv", csv(&[("p1".to_owned(), 5, "late".to_owned())]));
    assert_eq!(segments(&project.run(), "numbered"), (1, GROUPS - 1));
    std::fs::remove_file(project.path("visits/9.csv")).expect("a file");
    assert!(all_cached(&project.run()), "that was there before");
    assert_eq!([project.read("out/rows.csv"), project.read("out/totals.csv")], before);
}

#[test]
fn a_column_that_is_neither_read_nor_wanted_runs_nothing() {
    let flow = VISITS.replace("sink \"rows\" { in \"numbered.rows\"; file \"out/rows.csv\" }\n", "");
    let project = project(&flow);
    project.run();
    let mut changed = visits(3);
    changed.iter_mut().for_each(|visit| visit.2.push('!'));
    project.write("visits/3.csv", csv(&changed));
    assert!(all_cached(&project.run()));
}

const MATCHED: &str = r#"
source "left" { files "left.csv"; schema { column "a" "Utf8" } }
source "right" { files "right.csv"; schema { column "b" "TYPE" } }
stage "matched" { in left="left" right="right"; wasm "matched.wasm"; config { left "a"; right "b" } }
sink "matched" { in "matched"; file "out/matched.csv" }
"#;

#[test]
fn keys_of_two_inputs_meet() {
    let project = Project::new(&MATCHED.replace("TYPE", "Utf8"));
    project.write("matched.wasm", component("matched"));
    let column = |name: &str, step: usize| {
        let rows: String = (0..60).map(|row| format!("k{}\n", row * step % 30)).collect();
        format!("{name}\n{rows}")
    };
    project.write("left.csv", column("a", 1));
    project.write("right.csv", column("b", 2));
    project.run();
    let mut found = records(&project.read("out/matched.csv"));
    found.sort();
    let mut due: Vec<Vec<String>> = (0..30)
        .map(|key| vec![format!("k{key}"), "2".to_owned(), if key % 2 == 0 { "4" } else { "0" }.to_owned()])
        .collect();
    due.sort();
    assert_eq!(found, due);
}

#[test]
fn keys_of_different_types_never_meet_and_are_refused() {
    let project = Project::new(&MATCHED.replace("TYPE", "Int64"));
    project.write("matched.wasm", component("matched"));
    project.write("left.csv", "a\nk\n");
    project.write("right.csv", "b\n1\n");
    let message = project.failure();
    assert!(message.contains("matched") && message.contains("keyed inputs are of different types"), "{message}");
}

#[test]
fn after_a_collection_a_change_still_runs_the_groups_that_it_touches_alone() {
    let project = project(VISITS);
    project.run();
    flowc_executor::admin::gc(&project.store(), false).expect("a collection");
    assert!(all_cached(&project.run()));
    let one = |file: usize, visits: &mut Vec<Visit>| {
        if file == 2 {
            visits[0].1 += 1000;
        }
    };
    let mut changed = visits(2);
    one(2, &mut changed);
    project.write("visits/2.csv", csv(&changed));
    let report = project.run();
    assert_eq!(segments(&report, "numbered"), (1, GROUPS - 1));
    check(&project, &all(one));
}
