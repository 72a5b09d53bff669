//! The manifest of a folder of objects: which of them are the folder's.

use std::collections::BTreeSet;

use bytes::Bytes;
use flowc_objects::{Condition, Object, ObjectError};
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::files::manifest::MANIFEST;
use crate::state::SinkState;

/// The version of the manifest's form.
const VERSION: u32 = 1;
/// How many transactions are remembered that can't commit any more: some may still be at work, and send what they will not commit.
const REMEMBERED: usize = 64;

/// What a folder is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    /// Its objects; none before the first commit.
    pub(super) state: Option<SinkState>,
    /// Tokens of transactions that have begun and not committed, in their order. Each of them may have left objects behind.
    pub(super) writers: Vec<String>,
    /// How many of these, the first ones, had begun when another one committed. They can't commit any more.
    #[serde(default)]
    barred: usize,
    /// Objects that are no longer the folder's, and are being deleted.
    pub(super) leaving: BTreeSet<String>,
    /// The token of the transaction that wrote this, so that no two manifests are equal.
    token: String,
}

impl Manifest {
    /// The one of a transaction that has begun.
    pub(super) fn begun(before: &Self, state: Option<SinkState>, token: &str) -> Self {
        let mut writers = before.writers.clone();
        writers.push(token.to_owned());
        Self { version: VERSION, state, writers, token: token.to_owned(), ..before.clone() }
    }

    /// The one of a transaction that commits. It bars all others that have begun.
    pub(super) fn committed(before: &Self, state: SinkState, token: &str) -> Self {
        let stays: BTreeSet<&String> = state.files.iter().map(|file| &file.path).collect();
        let leaving = before.paths().filter(|path| !stays.contains(path)).cloned().collect();
        let writers: Vec<String> = before.writers.iter().filter(|writer| *writer != token).cloned().collect();
        let barred = writers.len();
        Self { version: VERSION, state: Some(state), writers, barred, leaving, token: token.to_owned() }
    }

    /// Whether a transaction may commit that has begun.
    pub(super) fn may_commit(&self, token: &str) -> bool {
        self.writers.iter().skip(self.barred).any(|writer| writer == token)
    }

    /// Transactions that can't commit any more, and may have left objects behind.
    pub(super) fn barred(&self) -> &[String] {
        self.writers.get(..self.barred).unwrap_or(&self.writers)
    }

    /// Whether transactions have begun that may still commit.
    pub(super) fn is_being_written(&self) -> bool {
        self.writers.len() > self.barred
    }

    /// Whether something is of a transaction that can't commit any more.
    pub(super) fn is_left(&self, path: &str) -> bool {
        !self.lists(path) && self.barred().iter().any(|writer| path.contains(&format!("-{writer}.")))
    }

    /// The same once nothing of those is left: the oldest of them are forgotten.
    pub(super) fn cleared(mut self) -> Self {
        let forgotten = self.barred.saturating_sub(REMEMBERED);
        self.writers.drain(..forgotten.min(self.writers.len()));
        self.barred -= forgotten;
        self
    }

    /// Its objects, and those that leave.
    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        let listed = self.state.iter().flat_map(|state| &state.files).map(|file| &file.path);
        listed.chain(&self.leaving)
    }

    /// Whether it lists an object.
    pub(super) fn lists(&self, path: &str) -> bool {
        self.state.iter().flat_map(|state| &state.files).any(|file| file.path == path)
    }
}

/// Reads a folder's manifest. One that is damaged, or of another version, says nothing: the folder's objects then count as somebody else's.
pub(super) fn read(place: &Place) -> Result<Option<(Object, Option<Manifest>)>, ObjectError> {
    let (object, bytes) = match place.bucket.get_whole(&place.key(MANIFEST)) {
        Ok(read) => read,
        Err(ObjectError::NoObject) => return Ok(None),
        Err(error) => return Err(error),
    };
    let manifest = serde_json::from_slice::<Manifest>(&bytes).ok();
    let manifest =
        manifest.filter(|manifest| manifest.version == VERSION && manifest.paths().all(|path| is_inside(path)));
    if manifest.is_none() {
        tracing::warn!(
            "{}: not a manifest of this version; the folder's objects are left alone",
            place.shown(MANIFEST).display()
        );
    }
    Ok(Some((object, manifest)))
}

/// Whether a path stays within the folder, and names no manifest.
fn is_inside(path: &str) -> bool {
    path != MANIFEST && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

/// Puts a manifest in the place of the one that was read, in one step. [`ObjectError::Changed`] if that is no longer there.
pub(super) fn swap(place: &Place, before: Option<&Object>, manifest: &Manifest) -> Result<Object, ObjectError> {
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| ObjectError::Other { reason: error.to_string() })?;
    let bytes = Bytes::from(text);
    let condition = before.map_or(Condition::Absent, |before| Condition::Unchanged(before.clone()));
    let key = place.key(MANIFEST);
    match place.bucket.put(&key, bytes.clone(), &condition) {
        Ok(object) => Ok(object),
        // It may be there, though the answer was lost: then the request was made again and found it changed, by itself.
        Err(error) => match place.find_content(&key, bytes.len() as u64, blake3::hash(&bytes).as_bytes()) {
            Ok(Some(object)) => Ok(object),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use flowc_platform::FileStamp;

    use super::*;
    use crate::state::WrittenFile;

    fn state(paths: &[&str]) -> SinkState {
        let file = |path: &&str| WrittenFile {
            path: (*path).to_owned(),
            stamp: FileStamp::of_immutable(1, 1),
            segments: vec![[1; 32]],
            rows: 1,
            bytes_digest: [2; 32],
        };
        SinkState { result: [3; 32], layout: [4; 32], files: paths.iter().map(file).collect(), manifest: None }
    }

    #[test]
    fn what_is_no_longer_listed_leaves_and_writers_are_known_until_one_commits() {
        let first = Manifest::committed(&Manifest::default(), state(&["a-1.csv", "b-1.csv"]), "1");
        assert!(first.leaving.is_empty() && first.writers.is_empty());
        let killed = Manifest::begun(&first, first.state.clone(), "2");
        let begun = Manifest::begun(&killed, killed.state.clone(), "3");
        assert_eq!((begun.writers.len(), begun.lists("a-1.csv")), (2, true));
        let second = Manifest::committed(&begun, state(&["a-1.csv", "b-3.csv"]), "3");
        assert_eq!(second.leaving, BTreeSet::from(["b-1.csv".to_owned()]));
        assert!(second.barred() == ["2"] && !second.lists("b-1.csv"));
        assert!(second.is_left("b-2.csv") && !second.is_left("b-3.csv") && !second.is_being_written());
        assert_eq!(second.clone().cleared(), second, "it may still be at work");
        let third = Manifest::committed(&second, state(&[]), "4");
        assert_eq!(third.leaving.len(), 3, "{third:?}");
        assert_eq!(third.barred(), ["2"]);
    }

    #[test]
    fn the_first_to_commit_bars_those_that_had_begun() {
        let both = ["1", "2"].iter().fold(Manifest::default(), |before, token| Manifest::begun(&before, None, token));
        assert!(both.may_commit("1") && both.may_commit("2") && both.barred().is_empty());
        let first = Manifest::committed(&both, state(&["a-1.csv"]), "1");
        assert!(!first.may_commit("1") && !first.may_commit("2"));
        let next = Manifest::begun(&first, first.state.clone(), "3");
        assert!(next.may_commit("3") && !next.may_commit("2") && next.barred() == ["2"]);
        assert!(next.is_being_written());
        let many = (4..200).fold(next, |before, token| Manifest::begun(&before, None, &token.to_string()));
        let rest = Manifest::committed(&many, state(&["a-3.csv"]), "3").cleared();
        assert_eq!((rest.barred().len(), rest.writers.first().unwrap().as_str()), (REMEMBERED, "136"));
    }

    #[test]
    fn paths_stay_inside() {
        assert!(is_inside("day=1/a-1.csv") && is_inside(".hidden/a.csv"));
        assert!(["", "a//b", "../a", "a/./b", MANIFEST].iter().all(|path| !is_inside(path)));
    }
}
