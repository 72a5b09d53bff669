//! Modules of a crate that import each other in a circle: none can be read, tested or moved without the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::texts::without_tests;

/// Per module, by its path from the crate's root, the modules that it imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[derive(Deserialize)]
struct Manifest {
    workspace: Members,
}

#[derive(Deserialize)]
struct Members {
    members: Vec<String>,
}

/// The circles of all crates of the workspace.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let manifest: Manifest = toml::from_str(&fs::read_to_string(root.join("Cargo.toml"))?)?;
    let mut problems = Vec::new();
    for name in manifest.workspace.members {
        let source = root.join(&name).join("src");
        for circle in circles(&imports(&texts(&source)?)) {
            problems.push(format!("{name}: modules import each other in a circle: {}", circle.join(" -> ")));
        }
    }
    Ok(problems)
}

/// The text of every module but the crate's root.
fn texts(source: &Path) -> Result<BTreeMap<String, String>> {
    let mut texts = BTreeMap::new();
    let mut open = vec![source.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("{} cannot be listed", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Some(module) = module(path.strip_prefix(source)?) {
                texts.insert(module, fs::read_to_string(&path)?);
            }
        }
    }
    Ok(texts)
}

/// The module of a file; none for the crate's root and for what is no Rust file.
fn module(path: &Path) -> Option<String> {
    let path: PathBuf = match path.file_name()?.to_str()? {
        "lib.rs" | "main.rs" if path.components().count() == 1 => return None,
        "mod.rs" => path.parent()?.to_owned(),
        _ => path.extension().filter(|ending| *ending == "rs").map(|_| path.with_extension(""))?,
    };
    Some(path.iter().filter_map(|part| part.to_str()).collect::<Vec<_>>().join("::"))
}

fn imports(texts: &BTreeMap<String, String>) -> Imports {
    let of = |(module, text): (&String, &String)| {
        let code = without_tests(text);
        let mut found: BTreeSet<String> = paths(module, code).iter().filter_map(|path| longest(path, texts)).collect();
        found.remove(module);
        (module.clone(), found)
    };
    texts.iter().map(of).collect()
}

/// What a module names by its place in the crate, from the crate's root, with groups spelled out.
fn paths(module: &str, code: &str) -> Vec<String> {
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = from_root(module, &lines.join("\n"));
    let mut paths = Vec::new();
    for after in code.split("crate::").skip(1) {
        let end = after.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(after.len());
        let head = after[..end].trim_end_matches(':');
        let group = after[end..].strip_prefix('{').and_then(|group| group.split('}').next());
        match group {
            None => paths.push(head.to_owned()),
            Some(group) => paths.extend(group.split(',').map(|one| match (head, one.trim()) {
                ("", one) => one.to_owned(),
                (head, one) => format!("{head}::{one}"),
            })),
        }
    }
    paths
}

/// The same code with `super` written as a path from the crate's root.
fn from_root(module: &str, code: &str) -> String {
    let mut above: Vec<&str> = module.split("::").collect();
    let mut levels = Vec::new();
    while above.pop().is_some() {
        let place = above.iter().fold("crate::".to_owned(), |place, part| place + part + "::");
        levels.push(("super::".repeat(levels.len() + 1), place));
    }
    // The longest first: it begins with the others.
    levels.iter().rev().fold(code.to_owned(), |code, (from, to)| code.replace(from, to))
}

/// The module that a path leads into.
fn longest(path: &str, texts: &BTreeMap<String, String>) -> Option<String> {
    let parts: Vec<&str> = path.split("::").collect();
    let candidates = (1..=parts.len()).rev().map(|length| parts[..length].join("::"));
    candidates.into_iter().find(|candidate| texts.contains_key(candidate))
}

/// One circle for each module that is in some and in none that was found before.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let mut circles: Vec<Vec<String>> = Vec::new();
    for module in imports.keys() {
        if circles.iter().any(|circle| circle.contains(module)) {
            continue;
        }
        circles.extend(way_back(module, imports));
    }
    circles
}

/// The shortest way from a module through its imports back to itself.
fn way_back(module: &String, imports: &Imports) -> Option<Vec<String>> {
    let mut from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut open = std::collections::VecDeque::from([module]);
    while let Some(current) = open.pop_front() {
        for next in &imports[current] {
            if next == module {
                let back = std::iter::successors(Some(current), |step| from.get(step).copied());
                let mut circle: Vec<String> = back.cloned().collect();
                circle.reverse();
                circle.push(module.clone());
                return Some(circle);
            }
            if !from.contains_key(next) {
                from.insert(next, current);
                open.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(texts: &[(&str, &str)]) -> Vec<String> {
        let texts = texts.iter().map(|(module, text)| ((*module).to_owned(), (*text).to_owned())).collect();
        circles(&imports(&texts)).into_iter().map(|circle| circle.join(" -> ")).collect()
    }

    #[test]
    fn a_circle_is_told_by_its_shortest_way_and_once() {
        let texts = [
            ("a", "use crate::b::{self, Thing};\n"),
            ("b", "use crate::{c::Other, Error};\n"),
            ("c", "fn x() { crate::a::call() }\n"),
            ("d", "use crate::a;\n"),
        ];
        assert_eq!(circles_of(&texts), ["a -> b -> c -> a"]);
    }

    #[test]
    fn modules_that_are_named_from_beside_or_below_are_imports() {
        let beside = [("a::b", "use super::c::{self, Thing};\n"), ("a::c", "fn x() { super::b::call() }\n")];
        assert_eq!(circles_of(&beside), ["a::b -> a::c -> a::b"]);
        let below = [("a::b::c", "use super::super::d::Thing;\n"), ("a::d", "use super::b::c::Other;\n")];
        assert_eq!(circles_of(&below), ["a::b::c -> a::d -> a::b::c"]);
        let root = [("a", "use super::Error;\n"), ("b", "use super::a::Thing;\n")];
        assert!(circles_of(&root).is_empty());
    }

    #[test]
    fn comments_tests_and_the_root_are_not_imports() {
        let text = "// crate::b\nuse crate::Error;\n#[cfg(test)]\nmod tests { use crate::b::x; }\n";
        assert!(circles_of(&[("a", text), ("b", "use crate::a::y;\n")]).is_empty());
    }

    #[test]
    fn modules_of_folders_are_told_apart() {
        assert_eq!(module(Path::new("chain/mod.rs")).as_deref(), Some("chain"));
        assert_eq!(module(Path::new("chain/budget.rs")).as_deref(), Some("chain::budget"));
        assert_eq!(module(Path::new("lib.rs")), None);
        assert_eq!(circles_of(&[("a::b", "use crate::a;\n"), ("a", "use crate::a::b::X;\n")]), ["a -> a::b -> a"]);
    }
}
