//! Folders that a sink of flowc writes: their manifests tell which objects make them up, so that a run which writes there is seen whole or
//! not at all.

use std::collections::BTreeSet;
use std::io;

use flowc_objects::{Bucket, Object, ObjectError};
use flowc_planner::pattern::Pattern;
use flowc_planner::plan::MANIFEST;
use serde::Deserialize;

/// What a manifest says of a folder.
#[derive(Debug, Deserialize)]
struct Manifest {
    state: Option<State>,
    /// What the names of objects hold that are not the folder's yet.
    writers: Vec<String>,
    /// Objects that are no longer the folder's.
    leaving: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct State {
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
}

/// Whether a key is that of a manifest.
pub(super) fn is_manifest(key: &str) -> bool {
    key.rsplit('/').next() == Some(MANIFEST)
}

/// The objects of a listing, without those that sinks have not committed yet, or are deleting. `None` if it was overtaken by a sink: it has
/// to be made again. `found` is sorted by keys.
pub(super) fn committed(
    bucket: &dyn Bucket,
    mut found: Vec<Object>,
    manifests: &[Object],
    matcher: &Pattern,
) -> Result<Option<Vec<Object>>, ObjectError> {
    for object in manifests {
        let Some(manifest) = read(bucket, object)? else { return Ok(None) };
        // A manifest of another kind of sink, or of another version, says nothing here.
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&manifest) else { continue };
        let folder = object.key.strip_suffix(MANIFEST).unwrap_or_default();
        match manifest.committed(folder, found, matcher) {
            Some(rest) => found = rest,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// The bytes of a manifest; none if it is another one meanwhile.
fn read(bucket: &dyn Bucket, object: &Object) -> Result<Option<Vec<u8>>, ObjectError> {
    let mut text = Vec::new();
    let mut take = |_, bytes: bytes::Bytes| -> io::Result<()> {
        text.extend_from_slice(&bytes);
        Ok(())
    };
    let read = bucket.read_all(object, &mut take);
    match read.unwrap_or_else(|error| Err(ObjectError::Other { reason: error.to_string() })) {
        Ok(()) => Ok(Some(text)),
        Err(ObjectError::Changed) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Manifest {
    fn committed(&self, folder: &str, found: Vec<Object>, matcher: &Pattern) -> Option<Vec<Object>> {
        let files = self.state.iter().flat_map(|state| &state.files);
        let listed: BTreeSet<&str> = files.map(|file| file.path.as_str()).collect();
        let is_found = |key: &String| found.binary_search_by(|object| object.key.cmp(key)).is_ok();
        let mut wanted = listed.iter().map(|path| format!("{folder}{path}")).filter(|key| matcher.matches(key));
        if !wanted.all(|key| is_found(&key)) {
            return None;
        }
        let is_left_out = |object: &Object| {
            let Some(path) = object.key.strip_prefix(folder) else { return false };
            let is_uncommitted = || self.writers.iter().any(|writer| path.contains(&format!("-{writer}.")));
            !listed.contains(path) && (self.leaving.contains(path) || is_uncommitted())
        };
        Some(found.into_iter().filter(|object| !is_left_out(object)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::testing::Memory;

    const TEXT: &str = r#"{"state": {"files": [{"path": "a-1.csv"}, {"path": "k=1/b-2.csv"}]}, "writers": ["3"], "leaving": ["old-0.csv"]}"#;

    fn seen(keys: &[&'static str], pattern: &str) -> Option<Vec<String>> {
        let bucket = Memory::new(keys.iter().map(|key| (*key, "x")).chain([("out/.flowc-sink.json", TEXT)]));
        let (mut found, mut manifests) = (Vec::new(), Vec::new());
        let matcher = Pattern::new(pattern).unwrap();
        let mut take = |object: Object| match is_manifest(&object.key) {
            true => manifests.push(object),
            false if matcher.matches(&object.key) => found.push(object),
            false => {}
        };
        bucket.list("", true, &mut take).unwrap();
        let committed = committed(&bucket, found, &manifests, &matcher).unwrap()?;
        Some(committed.into_iter().map(|object| object.key).collect())
    }

    #[test]
    fn objects_that_are_not_committed_or_leave_are_not_seen() {
        let keys =
            ["out/a-1.csv", "out/k=1/b-2.csv", "out/k=1/b-3.csv", "out/old-0.csv", "out/others.csv", "z/old-0.csv"];
        let all = seen(&keys, "**/*.csv").unwrap();
        assert_eq!(all, ["out/a-1.csv", "out/k=1/b-2.csv", "out/others.csv", "z/old-0.csv"]);
        assert_eq!(seen(&keys, "out/*.csv").unwrap(), ["out/a-1.csv", "out/others.csv"]);
    }

    #[test]
    fn a_listing_without_what_the_manifest_lists_was_overtaken() {
        assert_eq!(seen(&["out/a-1.csv", "out/old-0.csv"], "out/**"), None);
        assert_eq!(seen(&["out/a-1.csv"], "out/*.csv").unwrap(), ["out/a-1.csv"]);
    }
}
