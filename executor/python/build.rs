//! Has the crate built anew when a module of the Python SDK changes: the binary holds them.

use std::path::{Path, PathBuf};

fn main() {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    follow(&manifest.join("../../sdk-python/src/flowc"));
}

/// Names each module: of a folder cargo would also follow what Python writes into it.
fn follow(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            follow(&path);
        } else if path.extension().is_some_and(|ending| ending == "py") {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
}
