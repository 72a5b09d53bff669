//! `docs/stages.md` lists signatures of the SDK: they are those of its code. `FLOWC_BLESS=1` rewrites them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// Files of the SDK, and the items in them whose functions are listed, under a head each.
const LISTED: [(&str, &[&str]); 9] = [
    ("map.rs", &["pub trait MapColumns", "impl Mapping"]),
    ("filter.rs", &["pub trait FilterRows"]),
    ("combine.rs", &["pub trait Combine", "pub struct Combination"]),
    ("stage.rs", &["pub trait Stage", "pub struct Opening", "impl Opening"]),
    ("batch.rs", &["impl Batch"]),
    ("outputs.rs", &["impl Outputs"]),
    ("columns.rs", &["impl Columns", "impl Column"]),
    ("description.rs", &["impl Description", "impl Input", "impl Output"]),
    ("problem.rs", &["impl Problem"]),
];

const BEGIN: &str = "```rust signatures\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

#[test]
fn the_listed_signatures_are_those_of_the_code() {
    let path = root().join("docs/stages.md");
    let found = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = found.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once("```\n").unwrap();
    let expected = format!("{before}{BEGIN}{}```\n{after}", listing());
    if std::env::var_os("FLOWC_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(found == expected, "the signatures have changed: run `FLOWC_BLESS=1 cargo test -p docs` in sdk-rust-wasm");
}

fn listing() -> String {
    let items = LISTED.iter().flat_map(|(file, items)| {
        let text = std::fs::read_to_string(root().join("sdk-rust-wasm/src").join(file)).unwrap();
        items.iter().map(move |item| signatures(&text, item)).collect::<Vec<_>>()
    });
    items.collect::<Vec<_>>().join("\n")
}

/// The head of an item and its public functions, types, constants and fields, each with the first sentence of its comment.
fn signatures(text: &str, item: &str) -> String {
    let start = text.lines().position(|line| line == format!("{item} {{") || line.starts_with(&format!("{item}:")));
    let mut lines = text.lines().skip(start.unwrap_or_else(|| panic!("there is no `{item}`")));
    let is_trait = item.contains("trait");
    let mut listed = format!("{}\n", lines.next().unwrap());
    let (mut says, mut signature) = (String::new(), String::new());
    for line in lines.take_while(|line| *line != "}") {
        let inner = line.strip_prefix("    ").unwrap_or(line);
        let begins = ["pub fn", "pub "].iter().any(|word| inner.starts_with(word))
            || (is_trait && ["fn ", "const ", "type "].iter().any(|word| inner.starts_with(word)));
        if let Some(text) = inner.strip_prefix("/// ") {
            says.push_str(text);
            says.push(' ');
        } else if begins || !signature.is_empty() {
            signature.push_str(if signature.is_empty() { "" } else { "\n    " });
            signature.push_str(inner);
            if inner.ends_with(['{', ';', ',']) && !inner.starts_with("    ") {
                listed.push_str(&entry(&std::mem::take(&mut says), &signature));
                signature.clear();
            }
        } else if inner.starts_with('}') || inner.is_empty() {
            says.clear();
        }
    }
    format!("{listed}}}\n")
}

fn entry(says: &str, signature: &str) -> String {
    let says = says.split_once(". ").map_or(String::new(), |(sentence, _)| format!("    /// {sentence}.\n"));
    let ended = signature.strip_suffix(" {").map_or_else(|| signature.to_owned(), |bare| format!("{bare};"));
    format!("{says}    {ended}\n")
}
