//! Several stages that read what another gives: it is handed to all of them in one pass, and each has results of its own.

use std::path::Path;
use std::sync::{Arc, Mutex};

use flowc_executor::{Cancel, Error, Event, RunFailure, RunReport, RunRequest, StageStatus};

use crate::support::{Project, all_cached, component, segments, stage};

/// `a` is read by `b` and `c`, `c` by `d` and `e`.
fn flow(refuses: [&str; 4], a: &str) -> String {
    let [of_a, of_b, of_c, of_d] = refuses;
    let heard = |name: &str, above: &str, refuses: &str, more: &str| {
        format!(
            "stage \"{name}\" {{ in \"{above}\"; wasm \"heard.wasm\"{more}; \
             config {{ column \"line\"; adds \"of_{name}\"; refuses \"{refuses}\" }} }}\n"
        )
    };
    let sinks = ["b", "d", "e"].map(|name| format!("sink \"{name}\" {{ in \"{name}\"; file \"{name}.csv\" }}\n"));
    [
        "source \"lines\" { files \"text/*.txt\" }\n".to_owned(),
        heard("a", "lines", of_a, a),
        heard("b", "a", of_b, ""),
        heard("c", "a", of_c, ""),
        heard("d", "c", of_d, ""),
        "stage \"e\" { in \"c\"; std \"count@1\"; config { by \"of_c\" } }\n".to_owned(),
        sinks.concat(),
    ]
    .concat()
}

fn project() -> Project {
    let project = Project::new(&flow([""; 4], ""));
    project.write_all("heard.wasm", component("heard"));
    for (file, text) in [("a", "one\nfour\n"), ("b", "seven\n"), ("c", "ten\nof them\nall\n")] {
        project.write(&format!("text/{file}.txt"), text);
    }
    project
}

/// The stages that said what they were given, once for each time.
fn pushes(events: &[Event]) -> Vec<(&str, usize)> {
    let count = |name| {
        let said = |event: &&Event| matches!(event, Event::StageLog { stage, .. } if stage == name);
        (name, events.iter().filter(said).count())
    };
    ["a", "b", "c", "d"].map(count).into()
}

/// Bytes of results in the store.
fn stored(project: &Project) -> u64 {
    fn bytes(folder: &Path) -> u64 {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(
                |entry| {
                    if entry.path().is_dir() { bytes(&entry.path()) } else { entry.metadata().map_or(0, |of| of.len()) }
                },
            )
            .sum()
    }
    bytes(&project.store().join("objects"))
}

fn read(project: &Project) -> [String; 3] {
    ["b.csv", "d.csv", "e.csv"].map(|name| project.read(name))
}

#[test]
fn a_segment_goes_through_the_shared_stages_once_and_results_are_those_of_stages_that_are_stored() {
    for jobs in [1, 4] {
        let mut project = project();
        project.jobs = jobs;
        let (report, events) = project.run_watched();
        assert_eq!(pushes(&events), [("a", 3), ("b", 3), ("c", 3), ("d", 3)]);
        assert_eq!(["a", "b", "c", "d", "e"].map(|name| segments(&report, name)), [(3, 0); 5]);
        assert_eq!(stage(&report, "a").rows_out, 6);
        let due = read(&project);
        assert_eq!(project.read("b.csv").lines().nth(1), Some("one,3,3"));
        assert!(all_cached(&project.run()));
        project.new_store();
        project.write("flow.kdl", flow([""; 4], "; cache #true"));
        project.run();
        assert_eq!(read(&project), due);
    }
}

#[test]
fn nothing_is_stored_between_the_stages_of_a_pass() {
    let words: String = (0..100_000).map(|number| ["one ", "two ", "three\n"][number % 3]).collect();
    let of = |cache: &str| {
        let project = Project::new(&format!(
            r#"
            source "lines" {{ files "a.txt" }}
            stage "words" {{ in "lines"; std "tokenize@1"; config {{ column "line" }}{cache} }}
            stage "counts" {{ in "words"; std "count@1"; config {{ by "word" }} }}
            stage "totals" {{ in "words"; std "count@1"; config {{ by "word"; as "total" }} }}
            sink "counts" {{ in "counts"; file "counts.csv" }}
            sink "totals" {{ in "totals"; file "totals.csv" }}
            "#
        ));
        project.write("a.txt", &words);
        let report = project.run();
        assert_eq!((segments(&report, "words"), stage(&report, "words").rows_out), ((1, 0), 100_000));
        (stored(&project), project.read("counts.csv"), project.read("totals.csv"))
    };
    let ((handed, counts, totals), (kept, counts_of_kept, totals_of_kept)) = (of(""), of("; cache #true"));
    assert!(handed < 10_000 && kept > 100_000, "{handed} and {kept} bytes");
    assert_eq!((counts, totals), (counts_of_kept, totals_of_kept));
}

#[test]
fn what_is_missing_of_one_branch_runs_without_the_others() {
    let project = project();
    project.run();
    project.write("flow.kdl", flow(["", "nobody", "", ""], ""));
    let (report, events) = project.run_watched();
    assert_eq!(pushes(&events), [("a", 0), ("b", 3), ("c", 0), ("d", 0)], "all that is missing is a column of `b`");
    assert_eq!(stage(&report, "d").status, StageStatus::Cached);
    project.write("text/b.txt", "eight\n");
    let (report, events) = project.run_watched();
    assert_eq!(pushes(&events), [("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    assert_eq!((segments(&report, "b"), segments(&report, "d")), ((1, 2), (1, 2)));
}

fn failed(project: &Project, keep_going: bool) -> (Vec<String>, RunReport, Vec<String>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let observer = Arc::new(move |event: Event| {
        if let Event::StageFailed { stage, .. } = event {
            seen.lock().expect("unpoisoned").push(stage);
        }
    });
    let request = RunRequest { keep_going, ..RunRequest::default() };
    let RunFailure { errors, report } =
        project.session().run(&request, observer, Cancel::new()).expect_err("a failure");
    let errors = errors.into_iter().map(|error| match error {
        Error::Stage { stage, place, message } => format!("{stage}{place}: {message}"),
        other => panic!("{other}"),
    });
    let told = told.lock().expect("unpoisoned").clone();
    (errors.collect(), *report.expect("a report"), told)
}

#[test]
fn a_branch_that_fails_leaves_the_others_alone() {
    for jobs in [1, 4] {
        for (refuses, name, written) in [
            (["", "seven", "", ""], "b", ["d.csv", "e.csv"].as_slice()),
            (["", "", "", "seven"], "d", &["b.csv", "e.csv"]),
            (["", "", "seven", ""], "c", &["b.csv"]),
            (["seven", "", "", ""], "a", &[]),
        ] {
            let mut project = project();
            let (_, due) = (project.run(), read(&project));
            project.jobs = jobs;
            project.new_store();
            ["b.csv", "d.csv", "e.csv"]
                .iter()
                .for_each(|name| std::fs::remove_file(project.path(name)).expect("a file"));
            project.write("flow.kdl", flow(refuses, ""));
            let (errors, report, told) = failed(&project, true);
            assert_eq!(errors.len(), 1, "{name}: {errors:?}");
            assert!(errors[0].starts_with(name) && errors[0].contains("`seven` is refused"), "{errors:?}");
            assert_eq!((told, stage(&report, name).status), (vec![name.to_owned()], StageStatus::Failed));
            for (file, due) in ["b.csv", "d.csv", "e.csv"].iter().zip(&due) {
                assert_eq!(project.path(file).exists(), written.contains(file), "{name}: {file}");
                assert!(!written.contains(file) || project.read(file) == *due);
            }
            let (errors, ..) = failed(&project, false);
            assert!(errors.iter().all(|error| error.starts_with(name)), "{errors:?}");
            project.write("flow.kdl", flow([""; 4], ""));
            project.run();
            assert_eq!(read(&project), due);
        }
    }
}

/// A stage that can't begin fails by itself too: this one refuses its table.
#[test]
fn a_branch_that_can_not_begin_leaves_the_others_alone() {
    let project = project();
    let known = "stage \"b\" { in rows=\"a\" table=\"table\"; std \"lookup@1\"; config { on { left \"line\"; right \"line\" } } }\n";
    let text = flow([""; 4], "");
    let of_b = text.lines().find(|line| line.starts_with("stage \"b\"")).expect("a stage");
    let text = text.replace(of_b, &format!("source \"table\" {{ files \"table.csv\" }}\n{known}"));
    project.write("flow.kdl", text);
    project.write("table.csv", "line,kind\none,number\none,more\n");
    let (errors, report, _) = failed(&project, true);
    assert!(errors.len() == 3 && errors.iter().all(|error| error.starts_with("b, ")), "{errors:?}");
    assert_eq!(stage(&report, "d").status, StageStatus::Ran);
    assert!(project.path("d.csv").exists() && project.path("e.csv").exists() && !project.path("b.csv").exists());
}
