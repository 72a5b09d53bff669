//! The store's folder: made, recognised, and told from other people's.

use std::io;
use std::path::Path;

use crate::error::io_at;
use crate::lease::LEASES;
use crate::{Area, ObjectId, STORE_VERSION, StoreError};

/// Checks the folder's version; makes what is missing.
pub(crate) fn prepare(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join("version");
    match std::fs::read_to_string(&path) {
        Ok(found) if found.trim() == STORE_VERSION.to_string() => Ok(()),
        // A power cut left it so.
        Ok(found) if found.trim().is_empty() => create(dir),
        Ok(found) => {
            let found = found.trim().chars().take(20).collect();
            Err(StoreError::Version { path: dir.to_owned(), found, expected: STORE_VERSION })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir),
        Err(error) => Err(io_at("read", &path)(error)),
    }
}

/// Whether there is a store of this version in the folder. As cheap as a look can be.
pub(crate) fn is_current(dir: &Path) -> bool {
    std::fs::read_to_string(dir.join("version")).is_ok_and(|found| found.trim() == STORE_VERSION.to_string())
}

/// Makes an empty store. Several processes may do so at once; the version comes last.
fn create(dir: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(dir).map_err(io_at("create", dir))?;
    for entry in std::fs::read_dir(dir).map_err(io_at("read", dir))? {
        let name = entry.map_err(io_at("read", dir))?.file_name();
        if !is_ours(&name.to_string_lossy()) {
            return Err(StoreError::NotAStore(dir.to_owned()));
        }
    }
    for folder in ["objects", "tmp", LEASES].into_iter().chain(Area::ALL.map(Area::folder)) {
        let path = dir.join(folder);
        std::fs::create_dir_all(&path).map_err(io_at("create", &path))?;
    }
    let temporary = dir.join("tmp").join(ObjectId::random().to_string());
    std::fs::write(&temporary, format!("{STORE_VERSION}\n")).map_err(io_at("write", &temporary))?;
    let path = dir.join("version");
    std::fs::rename(&temporary, &path).map_err(io_at("rename", &path))
}

fn is_ours(name: &str) -> bool {
    let folder = Area::ALL.iter().any(|area| area.folder() == name);
    let others = ["objects", "tmp", LEASES, "live.lock", "gc.lock", "version"];
    folder || others.contains(&name) || name.starts_with("index.")
}

/// Whether this process may not write there.
pub(crate) fn is_read_only(dir: &Path) -> bool {
    !flowc_platform::may_write(dir)
}
