//! Keeps a target folder that several source folders share from giving one the other's module.
//!
//! Cargo takes a crate for unchanged if the files that it read are not newer than what was built, and knows crates by name and by their
//! path within the workspace. Two copies of a crate are one to it, and so are two files of which the older one comes into the other's
//! place. So it is noted for each crate by name what it was when it was built last, with all that its build read besides; a crate that
//! is something else is cleaned away before it is built. A note is taken away before a build and written after it, when it is known that
//! what was built is what was hashed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use flowc_platform::write_whole;
use serde::{Deserialize, Serialize};

use crate::BuildError;

/// What a crate was when it was built last.
#[derive(Serialize, Deserialize)]
struct Note {
    /// Of its own files.
    digest: String,
    /// Where the crate lies whose build it was part of.
    dir: PathBuf,
    /// What that build read besides, with digests.
    reads: BTreeMap<PathBuf, String>,
}

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

    /// Calls `clean` with the names of all crates that are not those built last, and forgets these. `read` gives the digest of what
    /// lies at a path now.
    pub(crate) fn refresh<'n>(
        &self,
        packages: impl Iterator<Item = (&'n str, String)>,
        dir: &Path,
        read: impl Fn(&Path) -> Option<String>,
        clean: impl FnOnce(&[&str]) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let mut known = self.known();
        let packages: Vec<_> = packages.collect();
        let notes = packages.iter().filter_map(|(name, _)| known.get(*name));
        // Which of the crates read what is not known.
        let others_were_read = others_were_read(notes, dir, read);
        let is_stale = |(name, digest): &&(&'n str, String)| {
            others_were_read || known.get(*name).is_none_or(|note| note.digest != *digest)
        };
        let stale: Vec<&str> = packages.iter().filter(is_stale).map(|(name, _)| *name).collect();
        // All are forgotten until it is known what was built of them.
        packages.iter().for_each(|(name, _)| drop(known.remove(*name)));
        self.write(&known)?;
        if stale.is_empty() { Ok(()) } else { clean(&stale) }
    }

    /// Notes what was built in a folder, and the digests of what the build read besides.
    pub(crate) fn note<'n>(
        &self,
        packages: impl Iterator<Item = (&'n str, String)>,
        dir: &Path,
        reads: &BTreeMap<PathBuf, String>,
    ) -> Result<(), BuildError> {
        let mut known = self.known();
        let note = |digest| Note { digest, dir: dir.to_owned(), reads: reads.clone() };
        known.extend(packages.map(|(name, digest)| (name.to_owned(), note(digest))));
        self.write(&known)
    }

    /// Notes that can't be read say nothing: then all is built anew.
    fn known(&self) -> BTreeMap<String, Note> {
        let text = std::fs::read_to_string(&self.notes).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn write(&self, known: &BTreeMap<String, Note>) -> Result<(), BuildError> {
        let text = serde_json::to_string_pretty(known).unwrap_or_default();
        write_whole(&self.notes, text.as_bytes()).map_err(BuildError::io(&self.notes))
    }
}

/// Whether builds read something besides that is not what is read now: something else lies there, or in another folder.
fn others_were_read<'n>(
    notes: impl Iterator<Item = &'n Note>,
    dir: &Path,
    read: impl Fn(&Path) -> Option<String>,
) -> bool {
    let is_other = |note: &Note| {
        let is_changed = || note.reads.iter().any(|(path, digest)| read(path).as_ref() != Some(digest));
        !note.reads.is_empty() && (note.dir != dir || is_changed())
    };
    notes.into_iter().any(is_other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The crates that are cleaned away before a build of `a` and its helper `b`, which read the file `x`.
    fn cleaned(held: &Held, dir: &str, digests: [&str; 2], x: &str) -> Vec<String> {
        let packages = || [("a", digests[0].to_owned()), ("b", digests[1].to_owned())].into_iter();
        let mut cleaned = Vec::new();
        let read = |path: &Path| (path == Path::new("x")).then(|| x.to_owned());
        let clean = |names: &[&str]| {
            cleaned.extend(names.iter().map(|name| (*name).to_owned()));
            Ok(())
        };
        held.refresh(packages(), Path::new(dir), read, clean).unwrap();
        held.note(packages(), Path::new(dir), &BTreeMap::from([("x".into(), x.to_owned())])).unwrap();
        cleaned
    }

    #[test]
    fn what_is_not_what_was_built_last_is_cleaned_away() {
        let folder = tempfile::tempdir().unwrap();
        let held = Held::new(folder.path()).unwrap();
        let both = ["a", "b"];
        assert_eq!(cleaned(&held, "one", ["1", "1"], "1"), both, "nothing is known");
        assert!(cleaned(&held, "one", ["1", "1"], "1").is_empty());
        assert_eq!(cleaned(&held, "one", ["2", "1"], "1"), ["a"], "files of its own");
        assert_eq!(cleaned(&held, "one", ["2", "1"], "2"), both, "what is read besides");
        assert_eq!(cleaned(&held, "two", ["2", "1"], "2"), both, "another copy, which reads other files");
        held.refresh([("a", "2".to_owned())].into_iter(), Path::new("two"), |_| Some("2".to_owned()), |_| Ok(()))
            .unwrap();
        assert_eq!(cleaned(&held, "two", ["2", "1"], "2"), ["a"], "a build that did not end");
    }
}
