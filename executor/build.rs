//! Says which build of flowc this is: a digest over the sources that shape what it makes, and over the compiler. What such a
//! build remembers of its own making, another one does not trust. Another digest is over what makes the results of kernels, and is in
//! their keys.

#[path = "build/digests.rs"]
mod digests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use digests::{add, add_files, files, kernels};

/// Folders of the workspace with code that shapes what is made. What prints and parses arguments does not.
const FOLDERS: [&str; 5] = ["planner", "executor", "sdk-rust-wasm", "sdk-python", "stdlib-stages"];
/// What cargo says of how the code is compiled.
const SETTINGS: [&str; 4] = ["TARGET", "PROFILE", "OPT_LEVEL", "CARGO_ENCODED_RUSTFLAGS"];

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = manifest.parent().expect("the executor is a folder of the workspace");
    let mut files = files(workspace, &FOLDERS);
    files.insert(workspace.join("Cargo.lock"));
    files.iter().for_each(|file| println!("cargo::rerun-if-changed={}", file.display()));
    let mut hasher = blake3::Hasher::new();
    add_files(&mut hasher, workspace, &files);
    let features = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("CARGO_FEATURE_"));
    features.collect::<BTreeSet<_>>().iter().for_each(|name| add(&mut hasher, name.as_bytes()));
    for setting in SETTINGS {
        add(&mut hasher, std::env::var(setting).unwrap_or_default().as_bytes());
    }
    let compiler = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV").output();
    add(&mut hasher, &compiler.map(|output| output.stdout).unwrap_or_default());
    println!("cargo::rustc-env=FLOWC_BUILD={}", hasher.finalize().to_hex());
    println!("cargo::rustc-env=FLOWC_KERNELS={}", kernels(workspace).to_hex());
}
