//! The SDK that this binary brings: Python stages are served by it, so that both sides speak the same protocol.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flowc_platform::{lock_exclusive, read_regular, rename_new};
use include_dir::{Dir, DirEntry, include_dir};

use crate::PythonError;
use crate::removal::remove;

static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk-python/src/flowc");

/// Of all its modules.
pub(crate) fn digest() -> [u8; 32] {
    static DIGEST: OnceLock<[u8; 32]> = OnceLock::new();
    *DIGEST.get_or_init(|| {
        let mut hasher = flowc_planner::key::KeyHasher::new("flowc python sdk 1");
        for (path, content) in modules() {
            hasher.bytes(path.as_os_str().as_encoded_bytes()).bytes(content);
        }
        hasher.finish()
    })
}

/// The name of its folder.
pub(crate) fn folder() -> String {
    format!("sdk-{}", flowc_planner::key::StageDigest::new(digest()).short())
}

/// Puts the SDK into a folder of `home` that is named after it, if it is not there as it was put. Gives the folder for Python's path.
pub(crate) fn unpack(home: &Path) -> Result<PathBuf, PythonError> {
    let name = folder();
    let place = home.join(&name);
    if is_whole(&place) {
        return Ok(place);
    }
    let lock = home.join(format!("{name}.lock"));
    let _held = lock_exclusive(&lock, true).map_err(PythonError::io(&lock))?;
    if is_whole(&place) {
        return Ok(place);
    }
    remove(&place)?;
    let building = tempfile::tempdir_in(home).map_err(PythonError::io(home))?;
    for (path, content) in modules() {
        let file = building.path().join("flowc").join(path);
        let folder = file.parent().unwrap_or(building.path());
        std::fs::create_dir_all(folder).map_err(PythonError::io(folder))?;
        std::fs::write(&file, content).map_err(PythonError::io(&file))?;
    }
    let building = building.keep();
    rename_new(&building, &place).map_err(PythonError::io(&place))?;
    Ok(place)
}

/// Whether a folder holds the SDK, and nothing else.
pub(crate) fn is_whole(place: &Path) -> bool {
    let folder = place.join("flowc");
    let is_there =
        |(path, content): &(&Path, &[u8])| read_regular(&folder.join(path)).is_ok_and(|found| found == *content);
    modules().iter().all(is_there) && files(place) == modules().len()
}

/// How many files and links are below a folder.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.file_type().is_ok_and(|kind| kind.is_dir()) { files(&entry.path()) } else { 1 }).sum()
}

/// The SDK's modules by their paths within the package `flowc`, in order. Tests, and what Python leaves behind, are not
/// among them.
pub fn modules() -> Vec<(&'static Path, &'static [u8])> {
    let mut modules = Vec::new();
    let mut open = vec![&SDK];
    while let Some(dir) = open.pop() {
        for entry in dir.entries() {
            match entry {
                DirEntry::Dir(dir) if dir.path().ends_with("__pycache__") => {}
                DirEntry::Dir(dir) => open.push(dir),
                DirEntry::File(file) => modules.push((file.path(), file.contents())),
            }
        }
    }
    modules.sort();
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_unpacked_once() {
        let home = tempfile::tempdir().unwrap();
        let place = unpack(home.path()).unwrap();
        assert!(place.join("flowc/__init__.py").is_file());
        assert_eq!(unpack(home.path()).unwrap(), place);
    }
}
