//! Nothing stale, damaged or half-written is ever served.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use crate::support::{Project, all_cached, component, segments, settle, stage};
use flowc_executor::{Cancel, Event, RunRequest, StageStatus, admin};

const COUNT: &str = r#"
source "text" { files "text/*.txt" }
stage "words" { in "text"; std "tokenize@1"; config { column "line" }; cache #true }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
sink "counts" { in "counts"; file "out/counts.csv" }
"#;

fn counted() -> Project {
    let project = Project::new(COUNT);
    project.write("text/a.txt", "the quick brown fox\n".repeat(3000));
    project.write("text/b.txt", "the lazy dog\n".repeat(3000));
    project
}

/// Flips a bit in the middle of every object of the store.
fn damage_objects(project: &Project) -> usize {
    let objects = std::fs::read_dir(project.store().join("objects")).expect("objects");
    let mut damaged = 0;
    for object in objects {
        let path = object.expect("an object").path();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("writable");
        let mut bytes = std::fs::read(&path).expect("an object");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("damage");
        damaged += 1;
    }
    damaged
}

#[test]
fn damaged_results_are_made_again_and_never_served() {
    let project = counted();
    project.run();
    let before = project.read("out/counts.csv");
    assert!(damage_objects(&project) > 0);
    assert!(!admin::verify(&project.store(), false).expect("a look at everything").results.is_empty());
    std::fs::remove_file(project.path("out/counts.csv")).expect("a sink");
    project.run();
    assert_eq!(project.read("out/counts.csv"), before);
}

#[test]
fn two_runs_at_once_give_what_one_gives() {
    let project = counted();
    for file in 0..30 {
        project.write(&format!("text/{file}.txt"), format!("word{file} the\n").repeat(500));
    }
    let outputs = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| project.run().outputs)).collect();
        runs.into_iter().map(|run| run.join().expect("a run")).collect::<Vec<_>>()
    });
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(all_cached(&project.run()));
}

#[test]
fn garbage_collection_keeps_the_last_good_run_and_drops_the_rest() {
    let project = counted();
    project.run();
    project.write("text/a.txt", "other words\n".repeat(3000));
    project.run();
    admin::gc(&project.store(), false).expect("a collection");
    assert!(all_cached(&project.run()), "the last run's results are there");
    std::fs::remove_file(project.path("out/counts.csv")).expect("a sink");
    assert!(all_cached(&project.run()), "and restore the sink");
    project.write("text/a.txt", "the quick brown fox\n".repeat(3000));
    let report = project.run();
    assert_eq!(segments(&report, "words"), (1, 1), "an earlier run's results are gone");
}

#[test]
fn a_failing_stage_leaves_sinks_as_they_were_and_finished_segments_in_the_store() {
    let project = Project::new(
        r#"
        source "orders" { files "orders/*.csv"; schema { column "id" "Int64"; column "price" "Int64" } }
        stage "some" { in "orders"; std "filter@1"; config { where { column "price"; op ">"; value 1 } } }
        sink "some" { in "some"; directory "out"; format "csv" }
        "#,
    );
    project.write("orders/a.csv", "id,price\n1,5\n");
    project.run();
    project.write("orders/b.csv", "id,price\n2,many\n");
    let message = project.failure();
    for part in ["orders/b.csv", "row 1", "price", "many"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    assert_eq!(project.read("out/a.csv"), "id,price\n1,5\n");
    assert!(!project.path("out/b.csv").exists());
}

#[test]
fn bad_rows_are_counted_when_skipped_and_kept_when_streamed() {
    let flow = |bad_rows: &str, sink: &str| {
        format!(
            r#"
            source "orders" {{ files "o.csv"; bad-rows "{bad_rows}"; schema {{ column "id" "Int64"; column "price" "Int64" }} }}
            stage "some" {{ in "orders"; std "select@1"; config {{ keep "id" }} }}
            sink "some" {{ in "some"; file "out/some.csv" }}
            {sink}
            "#
        )
    };
    let project = Project::new(&flow("skip", ""));
    project.write("o.csv", "id,price\n1,5\nx,6\n3,7\n");
    let (_, events) = project.run_watched();
    assert!(events.iter().any(|event| matches!(event, Event::BadRows { rows: 1, .. })), "{events:?}");
    assert_eq!(project.read("out/some.csv"), "id\n1\n3\n");
    project.write("flow.kdl", flow("stream", r#"sink "bad" { in "orders.rejects"; file "out/bad.csv" }"#));
    project.run();
    let bad = project.read("out/bad.csv");
    assert!(bad.starts_with("file,row,reason,text\no.csv,2,"), "{bad}");
    assert!(bad.contains("x,6"), "{bad}");
    assert!(all_cached(&project.run()));
}

#[test]
fn a_later_file_of_another_schema_is_an_error_not_a_retype() {
    let project = Project::new(
        r#"
        source "orders" { files "orders/*.csv" }
        stage "all" { in "orders"; std "select@1"; config { keep "id" } }
        sink "all" { in "all"; directory "out"; format "csv" }
        "#,
    );
    project.write("orders/a.csv", "id,price\n1,5\n");
    project.run();
    project.write("orders/b.csv", "id,price\nnot a number,5\n");
    let message = project.failure();
    assert!(message.contains("orders/b.csv") && message.contains("id"), "{message}");
    project.write("orders/b.csv", "other,price\n1,5\n");
    let message = project.failure();
    assert!(message.contains("orders/b.csv") && message.contains("id"), "{message}");
}

#[test]
fn a_column_that_is_not_pinned_is_told_once_and_runs_nothing() {
    let project = Project::new(
        r#"
        source "orders" { files "orders/*.csv" }
        stage "all" { in "orders"; std "select@1"; config { keep "id" } }
        sink "all" { in "all"; file "all.csv" }
        "#,
    );
    project.write("orders/a.csv", "id,price\n1,5\n");
    project.run();
    for file in ["a", "b"] {
        project.write(&format!("orders/{file}.csv"), "id,tax,price\n1,9,5\n");
    }
    let (report, events) = project.run_watched();
    assert_eq!(stage(&report, "all").status, StageStatus::Passthrough);
    let told: Vec<_> = events
        .iter()
        .filter_map(|event| if let Event::Warning { message } = event { Some(message) } else { None })
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("orders/a.csv") && told[0].contains("`tax`") && told[0].contains("--update"), "{told:?}");
    let sizes: Vec<_> = events
        .iter()
        .filter_map(|event| if let Event::FileRead { bytes, .. } = event { Some(*bytes) } else { None })
        .collect();
    assert_eq!(sizes, [19, 19]);
}

#[test]
fn keep_going_finishes_what_does_not_depend_on_a_failure() {
    let project = Project::new(
        r#"
        source "good" { files "good.txt" }
        source "rows" { files "rows.csv" }
        source "table" { files "table.csv" }
        stage "words" { in "good"; std "tokenize@1"; config { column "line" } }
        stage "joined" { in rows="rows" table="table"; std "lookup@1"; config { on { left "id"; right "id" } } }
        sink "joined" { in "joined"; file "out/joined.csv" }
        sink "words" { in "words"; file "out/words.csv" }
        "#,
    );
    project.write("good.txt", "a b\n");
    project.write("rows.csv", "id,x\n1,2\n");
    project.write("table.csv", "id,name\n1,a\n1,b\n");
    let request = RunRequest { keep_going: true, ..RunRequest::default() };
    let failure = project.try_run(&request).expect_err("a key that is there twice");
    let report = failure.report.expect("a report");
    assert_eq!(stage(&report, "joined").status, StageStatus::Failed);
    assert!(!project.path("out/joined.csv").exists());
    assert_eq!(project.read("out/words.csv"), "word\na\nb\n");
}

#[test]
fn keep_going_gives_up_what_needs_a_source_that_cannot_be_read_and_nothing_else() {
    let project = Project::new(
        r#"
        source "good" { files "good.txt" }
        source "bad" { files "bad.csv"; schema { column "id" "Int64" } }
        source "missing" { files "nowhere/*.csv"; schema { column "id" "Int64" } }
        stage "words" { in "good"; std "tokenize@1"; config { column "line" } }
        stage "ids" { in "bad"; std "filter@1"; config { where { column "id"; op ">"; value 1 } } }
        stage "joined" { in rows="bad" table="missing"; std "lookup@1"; config { on { left "id"; right "id" } } }
        sink "words" { in "words"; file "out/words.csv" }
        sink "ids" { in "ids"; file "out/ids.csv" }
        sink "joined" { in "joined"; file "out/joined.csv" }
        "#,
    );
    project.write("good.txt", "a b\n");
    project.write("bad.csv", "id\n1\nx\n");
    let failure = project.try_run(&RunRequest::default()).expect_err("a missing source");
    assert_eq!(failure.errors.len(), 1);
    assert!(!project.path("out").exists());
    let request = RunRequest { keep_going: true, ..RunRequest::default() };
    let failure = project.try_run(&request).expect_err("two sources can't be read");
    let errors: Vec<String> = failure.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("bad.csv") && errors[1].contains("nowhere"), "{errors:?}");
    let report = failure.report.expect("a report");
    assert_eq!(stage(&report, "words").status, StageStatus::Ran);
    assert_eq!(stage(&report, "ids").status, StageStatus::Skipped);
    assert_eq!(stage(&report, "joined").status, StageStatus::Skipped);
    assert_eq!(project.read("out/words.csv"), "word\na\nb\n");
    assert!(!project.path("out/ids.csv").exists() && !project.path("out/joined.csv").exists());
}

#[test]
fn what_is_finished_is_saved_while_a_stage_never_returns() {
    let project = Project::new(
        r#"
        source "lines" { files "a.txt" }
        stage "words" { in "lines"; std "tokenize@1"; config { column "line" }; cache #true }
        stage "stuck" { in "words"; wasm "endless.wasm"; timeout "2s" }
        sink "out" { in "stuck"; file "out.csv" }
        "#,
    );
    project.write("a.txt", "a b\n");
    project.write("endless.wasm", component("endless"));
    let session = Arc::new(project.session());
    let (finished, words) = mpsc::channel();
    let observer = Arc::new(move |event: Event| {
        if let Event::SegmentRan { .. } = event {
            finished.send(()).expect("the test waits");
        }
    });
    // It stays behind, as it would in a process that is about to end; the time limit spares the other tests.
    let running = session.clone();
    std::thread::spawn(move || running.run(&RunRequest::default(), observer, Cancel::new()));
    words.recv().expect("the first stage ends");
    session.abandon().expect("what the run has done so far");
    let only = RunRequest { only: vec!["words".to_owned()], ..RunRequest::default() };
    let report = project.try_run(&only).expect("words are there");
    assert_eq!(stage(&report, "words").status, StageStatus::Cached);
}

#[test]
fn locked_refuses_a_source_that_is_not_pinned_and_then_takes_it() {
    let mut project = counted();
    project.locked = true;
    assert!(project.failure().contains("lock"));
    project.locked = false;
    project.run();
    project.locked = true;
    assert!(all_cached(&project.run()));
}

/// What becomes of a file in a power cut, or by a bad disk.
type Mishap = fn(Vec<u8>) -> Vec<u8>;
const MISHAPS: [(&str, Mishap); 6] = [
    ("empty", |_| Vec::new()),
    ("cut to a byte", |bytes| bytes[..bytes.len().min(1)].to_vec()),
    ("cut in the middle", |bytes| bytes[..bytes.len() / 2].to_vec()),
    ("cut by a byte", |bytes| bytes[..bytes.len().saturating_sub(1)].to_vec()),
    ("altered in the middle", |bytes| altered(bytes, 2)),
    ("altered in a third", |bytes| altered(bytes, 3)),
];

fn altered(mut bytes: Vec<u8>, part: usize) -> Vec<u8> {
    let place = bytes.len() / part;
    if let Some(byte) = bytes.get_mut(place) {
        *byte ^= 0x10;
    }
    bytes
}

/// The files below a folder that hold something.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| files_below(folder));
    files.into_iter().chain(below).filter(|path| std::fs::metadata(path).is_ok_and(|found| found.len() > 0)).collect()
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success());
}

/// Whatever becomes of a file beside the results: the next run gives the right rows, and the one after it has nothing to do.
#[test]
fn no_file_that_is_remembered_is_trusted_unless_it_is_as_it_was_written() {
    let project = counted();
    // With its own compiled components.
    std::fs::remove_file(project.store().join("cwasm")).expect("a link");
    // Enough files for facts that lie in files of their own.
    for file in 0..200 {
        project.write_all(&format!("text/{file}.txt"), format!("word{file} the\n").repeat(5));
    }
    settle();
    project.run();
    let expected = project.read("out/counts.csv");
    let pristine = project.path("pristine");
    copy(&project.store(), &pristine);
    let mut kinds = BTreeSet::new();
    for file in files_below(&pristine) {
        let name = file.strip_prefix(&pristine).expect("below").to_owned();
        kinds.insert(name.components().next().expect("a name").as_os_str().to_string_lossy().into_owned());
        let is_code = name.starts_with("cwasm");
        for (what, mishap) in MISHAPS {
            // Another version's number is another version.
            if name == Path::new("version") && what.starts_with("altered") || is_code && what.ends_with("third") {
                continue;
            }
            copy(&pristine, &project.store());
            let damaged = project.store().join(&name);
            let _ = std::fs::set_permissions(&damaged, std::fs::Permissions::from_mode(0o644));
            std::fs::write(&damaged, mishap(std::fs::read(&file).expect("a file"))).expect("a mishap");
            // Something has to be made of what is remembered.
            std::fs::remove_file(project.path("out/counts.csv")).expect("a sink");
            let run = project.try_run(&RunRequest::default());
            run.unwrap_or_else(|failure| panic!("{} {what}: {:#?}", name.display(), failure.errors));
            assert_eq!(project.read("out/counts.csv"), expected, "{} {what}", name.display());
            assert!(all_cached(&project.run()), "{} {what}", name.display());
        }
    }
    for kind in ["cwasm", "facts", "found", "index.sqlite", "noop", "objects", "version"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
}

#[test]
fn what_is_gone_though_an_earlier_run_noted_it_is_made_again() {
    let flow = r#"
source "text" { files "text/*.txt" }
stage "words" { in "text"; std "tokenize@1"; config { column "line" } }
sink "words" { in "words"; directory "words"; format "csv" }
"#;
    let project = Project::new(flow);
    for file in 0..20 {
        project.write(&format!("text/{file:02}.txt"), format!("word{file}\n"));
    }
    project.run();
    project.write("text/19.txt", "changed\n");
    // This one looks up what lies below nodes that have changed, and notes the others.
    project.run();
    let (found, aside) = (project.store().join("found"), project.path("found"));
    copy_files(&found, &aside);
    std::fs::remove_file(project.path("flow.kdl")).expect("a pipeline");
    assert!(admin::gc(&project.store(), false).expect("a collection").results.removed >= 20);
    project.write("flow.kdl", flow);
    copy_files(&aside, &found);
    project.write("text/19.txt", "changed again\n");
    std::fs::remove_file(project.path("words/00.csv")).expect("a file of the sink");
    let (_, events) = project.run_watched();
    let is_told = |event: &Event| matches!(event, Event::Warning { message } if message.contains("is gone"));
    assert!(events.iter().any(is_told), "it started over");
    assert_eq!(project.read("words/00.csv").lines().last(), Some("word0"));
    assert_eq!(project.read("words/19.csv").lines().skip(1).collect::<Vec<_>>(), ["changed", "again"]);
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("a file").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
}
