//! Says which build of flowc this is: a digest over the sources that shape what it makes, and over the compiler. What such a
//! build remembers of its own making, another one does not trust.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders of the workspace with code that shapes what is made. What prints and parses arguments does not.
const FOLDERS: [&str; 5] = ["planner", "executor", "sdk-rust-wasm", "sdk-python", "stdlib-stages"];
/// Folders that hold nothing of it.
const LEFT_OUT: [&str; 5] = ["tests", "examples", "benches", "target", "__pycache__"];
/// What cargo says of how the code is compiled.
const SETTINGS: [&str; 4] = ["TARGET", "PROFILE", "OPT_LEVEL", "CARGO_ENCODED_RUSTFLAGS"];

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = manifest.parent().expect("the executor is a folder of the workspace");
    let mut files = vec![workspace.join("Cargo.lock")];
    FOLDERS.iter().for_each(|folder| collect(&workspace.join(folder), &mut files));
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.strip_prefix(workspace).unwrap_or(file).to_string_lossy();
        add(&mut hasher, name.as_bytes());
        add(&mut hasher, &std::fs::read(file).unwrap_or_default());
    }
    let features = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("CARGO_FEATURE_"));
    features.collect::<BTreeSet<_>>().iter().for_each(|name| add(&mut hasher, name.as_bytes()));
    for setting in SETTINGS {
        add(&mut hasher, std::env::var(setting).unwrap_or_default().as_bytes());
    }
    let compiler = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").output();
    add(&mut hasher, &compiler.map(|output| output.stdout).unwrap_or_default());
    println!("cargo::rustc-env=FLOWC_BUILD={}", hasher.finalize().to_hex());
}

fn add(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

/// All files below a folder. The folders are not watched: a file that comes is named by one that is there.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_left_out = name.to_str().is_none_or(|name| name.starts_with('.') || LEFT_OUT.contains(&name));
        match path.is_dir() {
            _ if is_left_out => {}
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}
