//! The binary as its users see it: each file in `tests/transcripts` is one test. It holds the project's files and then
//! commands with what they print. `FLOWC_BLESS=1` rewrites the outputs; adding a file adds a test.
//!
//! ```text
//! What it shows.
//!
//! === file flow.kdl
//! source ...
//! === $ flowc run
//! exit 0
//! --- stdout
//! ...
//! --- stderr
//! ...
//! ```
//!
//! Commands run in a shell, in a temporary project with a temporary home and store, one after another. Times, digests
//! and the project's place are replaced by words in brackets.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use std::path::{Path, PathBuf};

use support::project::Project;
use support::transcript::{Part, Transcript};

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let failures: Vec<String> = files.iter().filter_map(|file| check(file)).collect();
    assert!(failures.is_empty(), "{}\nFLOWC_BLESS=1 rewrites them", failures.join("\n"));
}

/// Says how a transcript differs from what happens.
fn check(file: &Path) -> Option<String> {
    let expected = std::fs::read_to_string(file).unwrap();
    let found = play(&Transcript::parse(&expected)).to_string();
    if found == expected {
        return None;
    }
    if std::env::var_os("FLOWC_BLESS").is_some() {
        std::fs::write(file, found).unwrap();
        return None;
    }
    Some(format!("{}:\n{}", file.display(), difference(&expected, &found)))
}

fn play(transcript: &Transcript) -> Transcript {
    let project = Project::new();
    let parts = transcript.parts.iter().map(|part| match part {
        Part::File { name, text } => {
            project.write(name, text);
            part.clone()
        }
        Part::Command { line, .. } => Part::Command { line: line.clone(), output: project.shell(line) },
    });
    Transcript { head: transcript.head.clone(), parts: parts.collect() }
}

/// The first lines that differ, with the line before.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let show = |sign: &str, lines: &[&str]| -> String {
        lines.iter().skip(same).take(8).map(|line| format!("{sign} {line}\n")).collect()
    };
    format!("line {}\n{}{}", same + 1, show("-", &expected), show("+", &found))
}
