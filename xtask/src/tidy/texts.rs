//! Rust files: they say what they are for, stay small, and leave nothing for later.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Lines of a file at most.
const MOST_LINES: usize = 500;

/// Files that may be longer, with the reason.
const LONGER: [(&str, &str); 1] = [("sdk-rust-wasm/src/bindings.rs", "generated from the contract")];

/// Folders that hold no text of ours.
const NOT_OURS: [&str; 4] = ["target", ".git", "corpus", "artifacts"];

/// Words that promise work for later. Written in two parts, so that this list does not find itself.
const LATER: [(&str, &str); 5] = [("todo", "!("), ("unimplemented", "!("), ("dbg", "!("), ("TO", "DO"), ("FIX", "ME")];

/// Platform calls live here alone; elsewhere with the reason. Tests may make them: they kill, damage and fill up.
const PLATFORM: [(&str, &str); 3] = [
    ("executor/platform/", "the place for platform calls"),
    ("executor/sandbox/", "sandboxes are made of them"),
    ("benchmarks/src/measure.rs", "asks the system what a finished program has used; no part of flowc"),
];

/// Crates that make platform calls.
const PLATFORM_CRATES: [(&str, &str); 2] = [("libc", "::"), ("rustix", "::")];

/// What is wrong with the Rust files of a checkout.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for path in rust_files(root)? {
        let text = fs::read_to_string(root.join(&path)).with_context(|| format!("{path} cannot be read"))?;
        problems.extend(problems_of(&path, &text).into_iter().map(|problem| format!("{path}: {problem}")));
    }
    Ok(problems)
}

/// What is wrong with one file.
fn problems_of(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !text.starts_with("//!") {
        problems.push("begins without a `//!` line that says what it is for".to_owned());
    }
    let lines = text.lines().count();
    if lines > MOST_LINES && !LONGER.iter().any(|(longer, _)| *longer == path) {
        problems.push(format!("has {lines} lines; split it, or list it in xtask/src/tidy/texts.rs with the reason"));
    }
    let holds = |(first, second): &(&str, &str)| {
        let word = format!("{first}{second}");
        text.contains(&word).then_some(word)
    };
    problems.extend(LATER.iter().filter_map(holds).map(|word| format!("leaves something for later: `{word}`")));
    let is_test = path.contains("/tests/");
    if !is_test && !PLATFORM.iter().any(|(place, _)| path.starts_with(place)) {
        let crates = PLATFORM_CRATES.iter().filter_map(holds);
        problems.extend(crates.map(|word| format!("calls the platform (`{word}`) outside of executor/platform")));
    }
    problems
}

/// The Rust files of a checkout, `/`-separated, sorted.
pub(super) fn rust_files(root: &Path) -> Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(root.join(&folder)).with_context(|| format!("{} cannot be listed", folder.display()))?
        {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                let name = entry.file_name();
                folders.extend((!NOT_OURS.iter().any(|other| name == *other)).then_some(path));
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The text before its tests. Tests in a file of their own end nothing: they are named at the top.
pub(super) fn without_tests(text: &str) -> &str {
    let is_module = |line: &str| line.contains("mod ") && line.contains('{');
    let mut marks = text.match_indices("#[cfg(test)]\n");
    let tests = marks.find(|(at, mark)| text[at + mark.len()..].lines().next().is_some_and(is_module));
    tests.map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tidy_file_has_no_problems() {
        assert_eq!(problems_of("a.rs", "//! For a.\nfn a() {}\n"), [""; 0]);
    }

    #[test]
    fn each_rule_is_told() {
        let text = format!("fn a() {{ {}{} }}\n{}", "todo", "!()", "\n".repeat(MOST_LINES));
        assert_eq!(problems_of("a.rs", &text).len(), 3);
        let call = format!("//! For a.\nuse {}{}fs;\n", "rustix", "::");
        assert_eq!(problems_of("cli/a.rs", &call).len(), 1);
        assert_eq!(problems_of("executor/platform/src/a.rs", &call), [""; 0]);
    }

    #[test]
    fn tests_begin_where_their_module_does() {
        let of_its_own = "#[cfg(test)]\nmod tests;\nuse a;\n#[cfg(test)]\npub(crate) fn b() {}\n";
        assert_eq!(without_tests(of_its_own), of_its_own);
        assert_eq!(without_tests("use a;\n#[cfg(test)]\nmod tests {\n}\n"), "use a;\n");
        assert_eq!(without_tests("use a;\n#[cfg(test)]\npub(crate) mod others { }\n"), "use a;\n");
    }
}
