//! Digests over sources, and over the crates that these are compiled with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of what is made.
const LEFT_OUT: [&str; 5] = ["tests", "examples", "benches", "target", "__pycache__"];

/// All files below folders of a workspace, in order.
pub(crate) fn files(workspace: &Path, folders: &[&str]) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    folders.iter().for_each(|folder| collect(&workspace.join(folder), &mut files));
    files
}

/// Adds the name and the content of each file.
pub(crate) fn add_files<'a>(
    hasher: &mut blake3::Hasher,
    workspace: &Path,
    files: impl IntoIterator<Item = &'a PathBuf>,
) {
    for file in files {
        let name = file.strip_prefix(workspace).unwrap_or(file).to_string_lossy();
        add(hasher, name.as_bytes());
        add(hasher, &std::fs::read(file).unwrap_or_default());
    }
}

/// Adds what a lock of cargo says of the crates whose names begin so: version, origin, checksum.
pub(crate) fn add_crates(hasher: &mut blake3::Hasher, lock: &str, begins: &[&str]) {
    let is_meant = |package: &&str| {
        let name = package.lines().find_map(|line| line.strip_prefix("name = \""));
        name.is_some_and(|name| begins.iter().any(|begin| name.starts_with(begin)))
    };
    for package in lock.split("[[package]]").filter(is_meant) {
        // What follows are the names of other crates.
        let said = package.lines().take_while(|line| !line.starts_with("dependencies"));
        said.filter(|line| !line.is_empty()).for_each(|line| add(hasher, line.as_bytes()));
    }
}

/// Adds bytes, prefixed by their length.
pub(crate) fn add(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

/// What makes the results of kernels, beside their texts: the code that lowers and checks them, writes the texts of standard ones, packs
/// and settles columns, and puts counts together; and the crates that compile and run it.
pub(crate) fn kernels(workspace: &Path) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    add_files(&mut hasher, workspace, &files(workspace, &KERNELS));
    let lock = std::fs::read_to_string(workspace.join("Cargo.lock")).unwrap_or_default();
    add_crates(&mut hasher, &lock, &CRATES_OF_KERNELS);
    hasher.finalize()
}

const KERNELS: [&str; 2] = ["executor/gpu", "executor/kernel"];
const CRATES_OF_KERNELS: [&str; 4] = ["arrow-", "half", "naga", "wgpu"];

/// The folders are not watched: a file that comes is named by one that is there.
fn collect(folder: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_left_out = name.to_str().is_none_or(|name| name.starts_with('.') || LEFT_OUT.contains(&name));
        match path.is_dir() {
            _ if is_left_out => {}
            true => collect(&path, files),
            false => drop(files.insert(path)),
        }
    }
}
