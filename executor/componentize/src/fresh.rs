//! Keeps a target folder that several source folders share from giving one the other's module.
//!
//! Cargo takes a crate for unchanged if its files are older than what was built, and knows crates by name and by their
//! path within the workspace. Two copies of a crate are one to it. So the digest of what was built last is noted for
//! each crate by name, and a crate with another digest is cleaned away before it is built. A note is taken away before a build and
//! written after it, when it is known that what was built is what was hashed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use flowc_platform::write_whole;

use crate::BuildError;

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

    /// Calls `clean` with the names of all crates that are not those built last, and forgets these.
    pub(crate) fn refresh<'n>(
        &self,
        packages: impl Iterator<Item = (&'n str, String)>,
        clean: impl FnOnce(&[&str]) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let mut known = self.known();
        let packages: Vec<_> = packages.collect();
        // All are forgotten until it is known what was built of them.
        let is_stale = |(name, digest): &&(&'n str, String)| known.get(*name) != Some(digest);
        let stale: Vec<&str> = packages.iter().filter(is_stale).map(|(name, _)| *name).collect();
        packages.iter().for_each(|(name, _)| drop(known.remove(*name)));
        self.write(&known)?;
        if stale.is_empty() { Ok(()) } else { clean(&stale) }
    }

    /// Notes what was built.
    pub(crate) fn note<'n>(&self, packages: impl Iterator<Item = (&'n str, String)>) -> Result<(), BuildError> {
        let mut known = self.known();
        known.extend(packages.map(|(name, digest)| (name.to_owned(), digest)));
        self.write(&known)
    }

    /// Notes that can't be read say nothing: then all is built anew.
    fn known(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(&self.notes).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn write(&self, known: &BTreeMap<String, String>) -> Result<(), BuildError> {
        let text = serde_json::to_string_pretty(known).unwrap_or_default();
        write_whole(&self.notes, text.as_bytes()).map_err(BuildError::io(&self.notes))
    }
}
