//! Sinks that would write over what a source reads, under another path than the source's.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::Project;

const ROWS: &str = "a\n1\n";

fn flow(files: &str, target: &str) -> String {
    format!(
        "source \"s\" {{ files \"{files}\" }}\nsink \"first\" {{ in \"s\"; file \"first.csv\" }}\nsink \"o\" {{ in \"s\"; {target} }}\n"
    )
}

/// The run fails with these words, and nothing is written.
fn refused(project: &Project, words: &str) {
    let message = project.failure();
    assert!(message.contains("sink `o`: ") && message.contains(words), "{message}");
    assert!(!project.path("first.csv").exists());
    assert_eq!(project.read("data/in.csv"), ROWS);
}

#[test]
fn a_link_to_a_source_is_no_place_for_a_sink() {
    let project = Project::new(&flow("data/*.csv", "file \"out.csv\""));
    project.write("data/in.csv", ROWS);
    symlink(project.path("data/in.csv"), project.path("out.csv")).expect("a link");
    refused(&project, "its file is, under another path, data/in.csv, which the source `s` reads");
    fs::remove_file(project.path("out.csv")).expect("the link");
    project.run();
    project.run();
}

#[test]
fn nor_is_its_absolute_path() {
    let project = Project::new("");
    let target = format!("file \"{}\"", project.path("data/in.csv").display());
    project.write("flow.kdl", flow("data/in.csv", &target));
    project.write("data/in.csv", ROWS);
    refused(&project, "name another file");
}

#[test]
fn a_link_to_the_folder_of_a_source_is_no_place_for_files_alike() {
    let project = Project::new(&flow("data/*.csv", "directory \"out\"; format \"csv\""));
    project.write("data/in.csv", ROWS);
    symlink(project.path("data"), project.path("out")).expect("a link");
    refused(&project, "its folder is, under another path, the one of data/in.csv");
    project.write("flow.kdl", flow("data/*.csv", "directory \"out\"; format \"jsonl\""));
    project.run();
    assert_eq!(project.read("data/in.jsonl"), "{\"a\":1}\n");
}

/// What is written through a link may lie where the next run reads, whatever is there now.
#[test]
fn nor_is_a_place_where_the_next_run_reads() {
    let cases = [
        ("data/*.csv", "file \"out/new.csv\""),
        ("data/**/*.csv", "file \"out/deep/new.csv\""),
        ("way/*.csv", "file \"data/new.csv\""),
        ("data/**/*.csv", "directory \"out/parts\"; format \"csv\""),
    ];
    for (files, target) in cases {
        let files = format!("{files}\" \"data/in.csv");
        let project = Project::new(&flow(&files, target));
        project.write("data/in.csv", ROWS);
        for link in ["out", "way"] {
            symlink(project.path("data"), project.path(link)).expect("a link");
        }
        refused(&project, "it writes, under another path, where the source `s` reads");
        project.write("flow.kdl", flow(&files, &target.replace("out/", "elsewhere/").replace("data/", "elsewhere/")));
        project.run();
    }
    let project = Project::new("");
    let absolute = |path: &str| project.path(path).display().to_string();
    project.write("data/in.csv", ROWS);
    project.write("flow.kdl", flow("data/*.csv", &format!("file \"{}\"", absolute("data/new.csv"))));
    refused(&project, "where the source `s` reads");
    project.write("flow.kdl", flow(&absolute("data/*.csv"), "file \"data/new.csv\""));
    refused(&project, "where the source `s` reads");
}
