//! Pipelines whose streams have several readers give the same, however their stages are put together.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;
use support::project::Project;

/// Numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// A pipeline of stages that each read one that is there, with a sink for every stage that nothing else reads and for some that
/// others do. `more` is said of each stage.
fn pipeline(seed: u64, more: &str) -> String {
    let mut numbers = Numbers(seed);
    let mut text = String::from(
        "source \"lines\" { files \"text/*.txt\" }\nsource \"table\" { files \"table.csv\" }\n\
         stage \"s0\" { in \"lines\"; std \"tokenize@1\"; config { column \"line\" }",
    );
    writeln!(text, "{more} }}").unwrap();
    let mut words = vec![0];
    let mut read = vec![false; 8];
    for number in 1..8 {
        let above = words[numbers.below(words.len())];
        read[above] = true;
        let input = format!("in \"s{above}\"");
        let body = match numbers.below(7) {
            0 => format!("{input}; std \"count@1\"; config {{ by \"word\" }}"),
            1 => {
                format!("{input}; std \"filter@1\"; config {{ where {{ column \"word\"; op \"!=\"; value \"sea\" }} }}")
            }
            2 => format!(
                "in rows=\"s{above}\" table=\"table\"; std \"lookup@1\"; config {{ on {{ left \"word\"; right \"word\" }}; mode \"left\"; prefix \"k{number}\" }}"
            ),
            3 => format!(
                "in rows=\"s{above}\" table=\"table\"; std \"lookup@1\"; config {{ on {{ left \"word\"; right \"word\" }}; mode \"anti\" }}"
            ),
            // Of its groups of keys most have no rows.
            4 => format!("{input}; std \"dedup@1\"; config {{ by \"word\" }}"),
            _ => format!("{input}; std \"tokenize@1\"; config {{ column \"word\" }}"),
        };
        writeln!(text, "stage \"s{number}\" {{ {body}{more} }}").unwrap();
        words.push(number);
    }
    for (number, is_read) in read.into_iter().enumerate() {
        if !is_read || numbers.below(5) == 0 {
            writeln!(text, "sink \"o{number}\" {{ in \"s{number}\"; file \"out/{number}.csv\" }}").unwrap();
        }
    }
    text
}

/// What a command says of a pipeline in a new store.
fn said(text: &str, arguments: &[&str]) -> String {
    let project = project(text);
    // Compiling takes seconds: new stores share what is compiled.
    let (shared, store) = (Path::new(env!("CARGO_TARGET_TMPDIR")).join("cwasm"), project.folder().join("store"));
    std::fs::create_dir_all(&shared).unwrap();
    std::fs::create_dir_all(&store).unwrap();
    std::os::unix::fs::symlink(shared, store.join("cwasm")).unwrap();
    let output = project.flowc(arguments).args(["--store", store.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The digests of what a run writes.
fn outputs(text: &str, jobs: usize) -> Value {
    let events = said(text, &["run", "--json", "--jobs", &jobs.to_string()]);
    serde_json::from_str::<Value>(events.lines().last().unwrap()).unwrap()["outputs"].clone()
}

/// Whether a unit of a pipeline has several ends.
fn has_fork(text: &str) -> bool {
    let plan = said(text, &["plan", "--json"]);
    let plan: Value = serde_json::from_str(&plan).unwrap();
    plan["units"].as_array().unwrap().iter().any(|unit| unit.get("branches").is_some())
}

fn project(text: &str) -> Project {
    let project = Project::new();
    project.write("flow.kdl", text);
    project.write("text/a.txt", "the sea and the sky\n\nthe ship\n");
    project.write("text/b.txt", "a ship of the sky\n");
    project.write("text/c.txt", "and the sea again, and again\n");
    project.write("table.csv", "word,kind\nsea,water\nsky,air\n");
    project
}

#[test]
fn together_or_apart_the_results_are_the_same() {
    let mut forks = 0;
    for seed in 1..=4 {
        let seeded = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed);
        let text = pipeline(seeded, "");
        forks += usize::from(has_fork(&text));
        let due = outputs(&text, 1);
        assert!(!due.as_array().unwrap().is_empty());
        assert_eq!(outputs(&text, 4), due, "{text}");
        // Processes take their time to start, so few pipelines have them.
        let placements = ["; cache #true", "; isolate #true", "; isolate \"process\""];
        for (more, jobs) in placements[..if seed == 1 { 3 } else { 2 }].iter().zip([1, 4, 4]) {
            let apart = pipeline(seeded, more);
            assert_eq!(outputs(&apart, jobs), due, "{apart}");
        }
    }
    assert!(forks > 1, "{forks} of the pipelines have a unit with several ends");
}
