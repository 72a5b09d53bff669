//! Planning and deciding what runs are functions of values: no files, processes, clocks or runtimes, neither called nor linked.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::texts::without_tests;
use crate::process;
use crate::workspace::Workspace;

/// Parts of the standard library that reach outside.
const OUTSIDE: [&str; 8] =
    ["std::fs", "std::process", "std::net", "std::env", "std::thread", "std::time", "std::io::stdin", "std::os"];

/// Where parsers get a stack that is deep enough for their text: a thread of its own, waited for at once.
const PARSERS: [&str; 2] = ["planner/src/syntax/mod.rs", "executor/kernel/src/parsed.rs"];

/// Crates that reach outside, or that run things.
const RUNTIMES: [&str; 14] = [
    "async-std",
    "cap-std",
    "crossbeam-channel",
    "libc",
    "memmap2",
    "mio",
    "rayon",
    "reqwest",
    "rusqlite",
    "rustix",
    "tempfile",
    "tokio",
    "ureq",
    "wasmtime",
];

/// The crates that are functions of values, with their folders.
const PURE: [(&str, &str); 3] =
    [("flowc-planner", "planner"), ("flowc-demand", "executor/demand"), ("flowc-kernel", "executor/kernel")];

/// Crates of the list that something harmless brings along without their being used to reach outside.
const BROUGHT_ALONG: [(&str, &str); 0] = [];

/// What is wrong with them.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (name, folder) in PURE {
        problems.extend(linked(workspace, name)?);
        called(&workspace.root.join(folder).join("src"), &mut problems)?;
    }
    Ok(problems)
}

fn linked(workspace: &Workspace, package: &str) -> Result<Vec<String>> {
    let mut tree = workspace.cargo();
    tree.args(["tree", "--locked", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
    let tree = process::output(&mut tree)?;
    let names = tree.lines().skip(1).filter_map(|line| line.split(' ').next());
    let mut outside: Vec<&str> = names.filter(|name| is_outside(name)).collect();
    outside.sort_unstable();
    outside.dedup();
    Ok(outside
        .into_iter()
        .map(|name| format!("{package}: links `{name}`; it must stay a function of values"))
        .collect())
}

fn is_outside(name: &str) -> bool {
    let ours = name.starts_with("flowc") && !PURE.iter().any(|(pure, _)| *pure == name);
    (ours || RUNTIMES.contains(&name)) && !BROUGHT_ALONG.iter().any(|(other, _)| *other == name)
}

fn called(folder: &Path, problems: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            called(&path, problems)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path)?;
            let is_parser = PARSERS.iter().any(|parser| path.ends_with(parser));
            let calls = calls(&text).into_iter().filter(|call| !(*call == "std::thread" && is_parser));
            problems.extend(calls.map(|call| format!("{}: uses `{call}`", path.display())));
        }
    }
    Ok(())
}

/// What code, without its tests and comments, uses of the world outside.
fn calls(text: &str) -> Vec<&'static str> {
    let code = without_tests(text);
    let code: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    OUTSIDE.into_iter().filter(|call| code.iter().any(|line| line.contains(call))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_seen_in_code_but_not_in_comments_and_tests() {
        assert_eq!(calls("use std::fs::File;\n"), ["std::fs"]);
        assert!(calls("// not std::fs\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n").is_empty());
    }

    #[test]
    fn runtimes_and_our_other_crates_are_outside() {
        assert!(is_outside("tokio") && is_outside("flowc-store"));
        assert!(!is_outside("flowc-planner") && !is_outside("flowc-demand") && !is_outside("serde"));
    }
}
