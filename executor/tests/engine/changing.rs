//! Sources that change while they are read: the run fails and says so, and nothing of it is served later.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use flowc_executor::{Cancel, Error, Event, RunRequest};

use crate::support::{Project, all_cached, component, settle};

const FLOW: &str = r#"
source "text" { files "text.txt" }
stage "words" { in "text"; std "tokenize@1"; config { column "line" } }
stage "counts" { in "words"; std "count@1"; config { by "word" } }
sink "counts" { in "counts"; file "out/counts.csv" }
sink "text" { in "text"; file "out/text.txt"; format "lines" }
"#;

/// Several segments.
fn text(word: &str) -> String {
    (0..200_000).map(|line| format!("{word} {} and more of it\n", line % 1000)).collect()
}

/// A run of the pipeline has gone well, and then the text was changed.
fn project() -> Project {
    let project = Project::new(FLOW);
    project.write("text.txt", text("old"));
    project.run();
    project.write("text.txt", text("new"));
    project
}

/// Runs; acts on the source at the first event of a kind, in the thread that read it. Gives what was said.
fn run_changing(project: &Project, at: fn(&Event) -> bool, act: impl Fn(PathBuf) + Send + Sync + 'static) -> String {
    let (path, done) = (project.path("text.txt"), AtomicBool::new(false));
    let act = Mutex::new(act);
    let observer = Arc::new(move |event: Event| {
        if at(&event) && !done.swap(true, Ordering::SeqCst) {
            act.lock().expect("unpoisoned")(path.clone());
        }
    });
    let failure = project.session().run(&RunRequest::default(), observer, Cancel::new()).expect_err("a change");
    assert!(failure.errors.iter().all(|error| matches!(error, Error::Source { .. })), "{:?}", failure.errors);
    failure.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// After a failed run: the sink of the source itself stands as it was, and the next run gives what a store gives that
/// never saw the change.
fn check(project: &Project, before: &[String; 2]) {
    assert!(outputs(project)[1] == before[1], "the sink stands as it was");
    let hidden = |name: &str| name.starts_with('.') && name != ".store";
    for folder in [project.path("out"), project.path("")] {
        let names = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let left: Vec<_> = names.filter(|name| hidden(&name.to_string_lossy()) && name != ".flowc").collect();
        assert!(left.is_empty(), "{left:?}");
    }
    settle();
    let report = project.run();
    let after = outputs(project);
    assert!(after[1] == project.read("text.txt") && after[0] != before[0]);
    assert!(all_cached(&project.run()));
    project.new_store();
    fs::remove_dir_all(project.path("out")).expect("the outputs");
    assert_eq!(project.run().outputs, report.outputs);
    assert!(outputs(project) == after);
}

fn outputs(project: &Project) -> [String; 2] {
    [project.read("out/counts.csv"), project.read("out/text.txt")]
}

/// The file is open and about to be read.
fn while_scanned(event: &Event) -> bool {
    matches!(event, Event::FileRead { .. })
}

/// All of it has been read once, some of it is to be read again.
fn between_reads(event: &Event) -> bool {
    matches!(event, Event::WorkPlanned { .. })
}

#[test]
fn a_source_that_shrinks_while_it_is_read_fails_the_run() {
    let project = project();
    let before = outputs(&project);
    let cut = |path: PathBuf| {
        let half: usize = text("new").lines().take(100_000).map(|line| line.len() + 1).sum();
        File::options().write(true).open(path).and_then(|file| file.set_len(half as u64)).expect("a cut");
    };
    let message = run_changing(&project, while_scanned, cut);
    assert!(message.contains("text.txt") && message.contains("while it was being read"), "{message}");
    assert!(outputs(&project) == before, "no sink has changed");
    check(&project, &before);
}

#[test]
fn a_source_that_is_written_to_while_it_is_read_fails_the_run() {
    let project = project();
    let before = outputs(&project);
    let message = run_changing(&project, while_scanned, |path| fs::write(path, text("other")).expect("a text"));
    assert!(message.contains("text.txt") && message.contains("while it was being read"), "{message}");
    assert!(outputs(&project) == before, "no sink has changed");
    check(&project, &before);
}

#[test]
fn a_source_that_is_replaced_while_it_is_read_fails_the_run() {
    let project = project();
    let before = outputs(&project);
    let replace = |path: PathBuf| {
        let other = path.with_extension("new");
        fs::write(&other, text("other")).and_then(|()| fs::rename(other, path)).expect("another file");
    };
    let message = run_changing(&project, while_scanned, replace);
    assert!(message.contains("text.txt") && message.contains("replaced"), "{message}");
    assert!(outputs(&project) == before, "no sink has changed");
    check(&project, &before);
}

#[test]
fn a_source_that_changes_before_it_is_read_again_fails_the_run() {
    let project = project();
    let before = outputs(&project);
    let message = run_changing(&project, between_reads, |path| fs::write(path, text("other")).expect("a text"));
    assert!(message.contains("text.txt") && message.contains("changed during the run"), "{message}");
    check(&project, &before);
}

#[test]
fn a_source_that_is_gone_before_it_is_read_again_fails_the_run() {
    let project = project();
    let before = outputs(&project);
    let message = run_changing(&project, between_reads, |path| fs::remove_file(path).expect("a removal"));
    assert!(message.contains("text.txt"), "{message}");
    project.write("text.txt", text("back"));
    check(&project, &before);
}

const TABLE: &str = r#"
source "text" { files "text.txt" }
source "rows" { files "rows.txt" }
stage "missing" { in rows="rows" table="text"; std "lookup@1"; config { on { left "line"; right "line" }; mode "anti" } }
sink "missing" { in "missing"; file "out/missing.txt"; format "lines" }
"#;

#[test]
fn a_table_that_changes_before_it_is_looked_up_in_fails_the_run() {
    let project = Project::new(TABLE);
    project.write("text.txt", text("old"));
    project.write("rows.txt", "old 1 and more of it\nnew 1 and more of it\n");
    project.run();
    project.write("text.txt", text("new"));
    let message = run_changing(&project, between_reads, |path| fs::write(path, text("other")).expect("a text"));
    assert!(message.contains("text.txt") && message.contains("changed during the run"), "{message}");
    assert_eq!(project.read("out/missing.txt"), "new 1 and more of it\n", "the sink stands as it was");
    settle();
    project.run();
    assert_eq!(project.read("out/missing.txt"), "old 1 and more of it\nnew 1 and more of it\n");
}

#[test]
fn a_pipeline_that_changes_while_it_runs_runs_as_it_is_now_next_time() {
    let project = Project::new(FLOW);
    project.write("text.txt", "a line\n");
    settle();
    let path = project.path("flow.kdl");
    let observer = Arc::new(move |event: Event| {
        if let Event::WorkPlanned { .. } = event {
            fs::write(&path, FLOW.replace("out/counts.csv", "out/other.csv")).expect("the pipeline");
        }
    });
    project.session().run(&RunRequest::default(), observer, Cancel::new()).expect("a run as it was");
    assert!(!project.path("out/other.csv").exists());
    project.run();
    assert_eq!(project.read("out/other.csv"), project.read("out/counts.csv"));
}

/// The run goes by the lock that it read. What that is by the end of the run, the next one has to look at.
#[test]
fn what_is_done_to_the_lock_during_a_run_is_seen_by_the_next() {
    let project = Project::new(
        r#"
        source "prices" { files "prices.csv" }
        stage "all" { in "prices"; std "select@1"; config { keep "price" } }
        sink "all" { in "all"; file "all.csv" }
        "#,
    );
    project.write("prices.csv", "price\n1.50\n");
    project.run();
    assert_eq!(project.read("all.csv"), "price\n1.5\n");
    project.write("prices.csv", "price\n2.50\n");
    let lock = project.path("flow.lock");
    let edited = project.read("flow.lock").replace("Float64", "Utf8");
    assert_ne!(edited, project.read("flow.lock"));
    let edit = Arc::new(move |event: Event| {
        if let Event::RunStarted { .. } = event {
            std::fs::write(&lock, &edited).expect("a lock");
        }
    });
    project.session().run(&RunRequest::default(), edit, Cancel::new()).expect("a run");
    assert_eq!(project.read("all.csv"), "price\n2.5\n");
    project.run();
    assert_eq!(project.read("all.csv"), "price\n2.50\n", "as the lock says now");
}

/// What is put in the place of code during a run may be older than the run: it counts all the same.
#[test]
fn older_code_that_comes_into_the_place_of_what_ran_is_seen_by_the_next() {
    let turn: fn(&Path) = |folder| {
        fs::remove_file(folder.join("current")).expect("a link");
        std::os::unix::fs::symlink("other", folder.join("current")).expect("a link");
    };
    let exchange: fn(&Path) = |folder| {
        fs::rename(folder.join("current"), folder.join("before")).expect("a folder");
        fs::rename(folder.join("other"), folder.join("current")).expect("a folder");
    };
    for (is_link, swap) in [(true, turn), (false, exchange)] {
        let project = Project::new(
            r#"
            source "visits" { files "visits.csv" }
            stage "numbered" { in "visits"; wasm "current/stage.wasm"; config { by "who"; sum "spent" } }
            sink "totals" { in "numbered.totals"; file "totals.csv" }
            "#,
        );
        project.write("visits.csv", "who,spent\na,1\n");
        project.write("other/stage.wasm", "no component");
        let first = if is_link { "first" } else { "current" };
        project.write(&format!("{first}/stage.wasm"), component("numbered"));
        if is_link {
            std::os::unix::fs::symlink(first, project.path("current")).expect("a link");
        }
        settle();
        let folder = project.path("");
        let observer = Arc::new(move |event: Event| {
            if let Event::RunStarted { .. } = event {
                swap(&folder);
            }
        });
        project
            .session()
            .run(&RunRequest::default(), observer, Cancel::new())
            .expect("a run with the code that was read");
        assert!(project.failure().contains("stage.wasm"), "{}", project.failure());
    }
}

/// A writer that has the file mapped changes it without moving its stamp. What was remembered of the file is not trusted again.
#[test]
fn bytes_that_change_under_an_equal_stamp_are_an_error_once() {
    let project = Project::new("source \"s\" { files \"in.csv\" }\nsink \"o\" { in \"s\"; file \"a.csv\" }\n");
    project.write("in.csv", "a\n1\n");
    let file = File::options().read(true).write(true).open(project.path("in.csv")).unwrap();
    // SAFETY: the mapping is used by this thread alone, and the file keeps its length.
    let mut mapped = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
    // The first write to a page moves the stamp, the next ones do not.
    mapped[2] = b'2';
    settle();
    project.run();
    assert_eq!(project.read("a.csv"), "a\n2\n");
    mapped[2] = b'3';
    let flow = project.read("flow.kdl");
    project.write("flow.kdl", flow.replace("a.csv", "b.csv"));
    assert!(project.failure().contains("changed while it was being read"), "what is read is not what was found");
    project.run();
    assert_eq!(project.read("b.csv"), "a\n3\n");
    project.write("flow.kdl", flow);
    project.run();
    assert_eq!(project.read("a.csv"), "a\n3\n");
}
