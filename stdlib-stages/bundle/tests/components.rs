//! The components in `components/` are what the sources of the standard stages give, byte for byte. `cargo xtask stages`
//! writes them anew.
//!
//! They are kept, so that a stage has the same digest in every flowc of its version, and so that building flowc takes no
//! toolchain for WebAssembly.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failure here is a failure of the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The version of every standard stage.
const VERSION: u32 = 1;

/// Components by the names of their files.
type Components = BTreeMap<String, Vec<u8>>;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What compiles once is shared by all tests.
fn built(checkout: &Path) -> Components {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stages");
    let stages = checkout.join("stdlib-stages");
    let built = flowc_componentize::build_workspace(&stages, &target, &mut |line| eprintln!("{line}"));
    let name = |package: &str| format!("{}@{VERSION}.wasm", package.strip_prefix("stage_").unwrap().replace('_', "-"));
    built.unwrap().into_iter().map(|(package, component)| (name(&package), component)).collect()
}

fn kept(folder: &Path) -> Components {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn the_components_are_those_of_the_sources() {
    let folder = checkout().join("stdlib-stages/bundle/components");
    let (built, kept) = (built(&checkout()), kept(&folder));
    if std::env::var_os("FLOWC_BLESS").is_some() {
        kept.keys().for_each(|name| fs::remove_file(folder.join(name)).unwrap());
        built.iter().for_each(|(name, component)| fs::write(folder.join(name), component).unwrap());
        return;
    }
    let names = |components: &Components| components.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&built), names(&kept), "run `cargo xtask stages`");
    for (name, component) in &built {
        assert!(*component == kept[name], "{name} is not what its sources give: run `cargo xtask stages`");
    }
}

/// Builds all crates of the workspace twice more, so it is one of the long tests.
#[test]
fn the_checkouts_folder_leaves_no_trace_in_them() {
    if std::env::var_os("FLOWC_LONG").is_none() {
        return;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(checkout().join("rust-toolchain.toml"), elsewhere.path().join("rust-toolchain.toml")).unwrap();
    for part in ["sdk-rust-wasm", "stdlib-stages"] {
        copy(&checkout().join(part), &elsewhere.path().join("another/folder").join(part));
    }
    let built = built(&elsewhere.path().join("another/folder"));
    assert!(built == kept(&checkout().join("stdlib-stages/bundle/components")), "they depend on where they are built");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.file_name() != "target") {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}
