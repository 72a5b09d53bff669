//! Keeps a target folder that several source folders share from giving one the other's module.
//!
//! Cargo takes a crate for unchanged if its files are older than what was built, and knows crates by name and by their
//! path within the workspace. Two copies of a crate are one to it. So the digest of what was built last is noted for
//! each crate by name, and a crate with another digest is cleaned away before it is built.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::BuildError;
use crate::manifest::Package;
use crate::tree::package_digest;

/// A target folder that is held for one build.
pub(crate) struct Held {
    notes: PathBuf,
    _lock: File,
}

impl Held {
    /// Waits until no other process builds there.
    pub(crate) fn new(target_dir: &Path) -> Result<Self, BuildError> {
        let path = target_dir.join("flowc.lock");
        let lock = File::create(&path).map_err(BuildError::io(&path))?;
        lock.lock().map_err(BuildError::io(&path))?;
        Ok(Self { notes: target_dir.join("flowc-sources.json"), _lock: lock })
    }

    /// Calls `clean` with the names of all crates that are not those built last, and notes them.
    pub(crate) fn refresh(
        &self,
        packages: &[Package],
        clean: impl FnOnce(&[&str]) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let mut known = self.known();
        let mut stale = Vec::new();
        for package in packages {
            let digest = package_digest(package)?;
            if known.insert(package.name.clone(), digest.clone()) != Some(digest) {
                stale.push(package.name.as_str());
            }
        }
        if stale.is_empty() {
            return Ok(());
        }
        clean(&stale)?;
        let text = serde_json::to_string_pretty(&known).unwrap_or_default();
        std::fs::write(&self.notes, text).map_err(BuildError::io(&self.notes))
    }

    /// Notes that can't be read say nothing: then all is built anew.
    fn known(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(&self.notes).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}
