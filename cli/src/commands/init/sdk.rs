//! The SDKs as they lie in a stage's folder: what tests, editors and builds need, and no more.

use std::path::Path;

use include_dir::{Dir, DirEntry, include_dir};

use super::File;
use crate::report::Failure;

static RUST: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sdk-rust-wasm/src");
static ARRAYS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sdk-rust-wasm/arrays/src");
static CONTRACT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sdk-rust-wasm/wit");
const RUST_MANIFEST: &str = include_str!("../../../../sdk-rust-wasm/Cargo.toml");
const ARRAYS_MANIFEST: &str = include_str!("../../../../sdk-rust-wasm/arrays/Cargo.toml");

/// The crate `flowc-sdk`, with what it depends on by path.
pub(super) fn rust(folder: &Path) -> Vec<File> {
    let mut files = vec![
        File::new(folder.join("Cargo.toml"), dependency(RUST_MANIFEST)),
        File::new(folder.join("arrays/Cargo.toml"), dependency(ARRAYS_MANIFEST)),
    ];
    let parts = [("src", &RUST), ("arrays/src", &ARRAYS), ("wit", &CONTRACT)];
    parts.into_iter().for_each(|(name, part)| gather(part, &folder.join(name), &mut files));
    files
}

/// The package `flowc`: the one that this binary serves stages with.
///
/// # Errors
/// If this flowc serves no Python stages.
#[cfg(feature = "python")]
pub(super) fn python(folder: &Path) -> Result<Vec<File>, Failure> {
    let file = |(path, content): (&'static Path, &'static [u8])| File {
        path: folder.join("flowc").join(path),
        content: content.into(),
    };
    Ok(flowc_executor::python_sdk().into_iter().map(file).collect())
}

/// # Errors
/// Always.
#[cfg(not(feature = "python"))]
pub(super) fn python(_: &Path) -> Result<Vec<File>, Failure> {
    Err(Failure::command("there is no Python SDK here: this flowc was built without the feature `python`"))
}

fn gather(part: &Dir<'static>, folder: &Path, files: &mut Vec<File>) {
    for entry in part.entries() {
        match entry {
            DirEntry::Dir(dir) => gather(dir, folder, files),
            DirEntry::File(file) => {
                files.push(File { path: folder.join(file.path()), content: file.contents().into() });
            }
        }
    }
}

/// A manifest without what is for work on the crate itself: its workspace, lints, profiles and packages for tests.
fn dependency(manifest: &str) -> String {
    let is_own = |line: &str| {
        let head = line.trim_start_matches('[');
        ["workspace", "lints", "profile", "dev-dependencies"].iter().any(|table| head.starts_with(table))
    };
    let mut kept = true;
    let mut text = String::new();
    for line in manifest.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            kept = !is_own(line);
        }
        if kept {
            text.push_str(line);
            text.push('\n');
        }
    }
    format!("{}\n", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_keeps_what_a_dependency_needs() {
        let manifest = "# A note.\n[workspace]\nmembers = []\n\n[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n\n[dependencies]\na = \"1\"\n\n[profile.release]\nlto = true\n";
        assert_eq!(dependency(manifest), "[package]\nname = \"x\"\n\n[dependencies]\na = \"1\"\n");
    }

    #[test]
    fn the_sdks_are_whole() {
        let names =
            |files: Vec<File>| -> Vec<String> { files.iter().map(|file| file.path.display().to_string()).collect() };
        let rust = names(rust(Path::new("sdk")));
        for name in
            ["sdk/Cargo.toml", "sdk/src/lib.rs", "sdk/src/host/memory.rs", "sdk/arrays/src/lib.rs", "sdk/wit/stage.wit"]
        {
            assert!(rust.iter().any(|found| found == name), "{name}: {rust:?}");
        }
        let python = names(python(Path::new("sdk")).unwrap());
        for name in ["sdk/flowc/__init__.py", "sdk/flowc/testing/run.py", "sdk/flowc/py.typed"] {
            assert!(python.iter().any(|found| found == name), "{name}: {python:?}");
        }
    }
}
