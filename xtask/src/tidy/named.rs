//! What `ARCHITECTURE.md` names is there: Rust files and the folders that hold them, by the ends of their paths.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::texts::rust_files;

/// The text that leads through the code.
const TEXT: &str = "ARCHITECTURE.md";

/// Names that lead nowhere.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(TEXT)).with_context(|| format!("{TEXT} cannot be read"))?;
    Ok(lost(&text, &rust_files(root)?))
}

fn lost(text: &str, files: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lost = names(line).filter(|name| !files.iter().any(|file| leads_to(name, file)));
        problems.extend(lost.map(|name| format!("{TEXT}:{}: `{name}` is not there", number + 1)));
    }
    problems
}

/// The names of Rust files in a line, and those of folders within a `src`.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.ends_with(".rs") || (name.ends_with('/') && name.contains("src/")))
}

/// Whether a name is the end of a file's path, or of the path of a folder above it.
fn leads_to(name: &str, file: &str) -> bool {
    let file = format!("/{file}");
    match name.ends_with('/') {
        true => file.contains(&format!("/{name}")),
        false => file.ends_with(&format!("/{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_nowhere_are_told_with_their_line() {
        let files = ["executor/src/run/jobs.rs".to_owned(), "executor/gpu/src/passage/mod.rs".to_owned()];
        let text = "By `run/jobs.rs` and `jobs.rs`.\n\nNot `obs.rs`, and `gpu/src/passage.rs` no more than `sinks/src/log/`.\n\
             `gpu/src/passage/`, `cargo xtask tidy`, `lib/flowc/`";
        let lost = lost(text, &files);
        let told = ["obs.rs", "gpu/src/passage.rs", "sinks/src/log/"];
        assert_eq!(lost, told.map(|name| format!("ARCHITECTURE.md:3: `{name}` is not there")));
    }
}
