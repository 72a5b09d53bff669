//! Makes a module of the Rust in each document.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a build script that fails stops the build, with this text"
)]

use std::path::{Path, PathBuf};

/// The documents, from this folder, each with its module's name.
const DOCUMENTS: [(&str, &str); 2] = [("stages", "../../../docs/stages.md"), ("readme", "../../README.md")];

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("a folder to write to"));
    for (name, path) in DOCUMENTS {
        println!("cargo::rerun-if-changed={path}");
        let text = std::fs::read_to_string(Path::new(path)).expect("a document");
        std::fs::write(out.join(format!("{name}.rs")), rust(&text)).expect("a module");
    }
}

/// The blocks of Rust, one after the other. Blocks with another word after `rust` are not for the compiler. Of several
/// exports the component can have one, and natively an export is nothing.
fn rust(document: &str) -> String {
    let blocks = document.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let mut seen = std::collections::BTreeSet::new();
    let lines = blocks.flat_map(str::lines).filter(|line| !line.starts_with("use ") || seen.insert(line.to_string()));
    lines.map(|line| format!("{line}\n")).collect()
}
