//! A folder of objects: it changes in the step that swaps its manifest.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use flowc_objects::{Bucket, Condition, Object, ObjectError, Undeleted};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::SinkSpec;
use flowc_platform::lock;

use super::manifest::{self, Manifest};
use super::place::{Place, stamp};
use super::transaction::{Waiting, Writing, written_file};
use crate::error::SinkError;
use crate::files::compare::{Earlier, compare, jobs};
use crate::sink::{Dataset, Finalized, Job, RowWriter, Transaction, Written};
use crate::state::{SinkState, WrittenFile, layout_digest};
use crate::syncs::Syncs;

/// How many objects appear at once.
const AT_ONCE: usize = 8;
/// Hexadecimal digits of a token.
const TOKEN: usize = 12;
/// How often others may change the manifest while a transaction begins or commits.
const ATTEMPTS: usize = 50;
/// How long is waited before the next attempt.
const PAUSE: Duration = Duration::from_millis(20);

/// A folder that is being written.
pub(super) struct FolderTransaction {
    writing: Writing,
    token: String,
    /// The manifest that names this transaction among its writers, and what it says; none if the folder is as it should be.
    begun: Option<(Object, Manifest)>,
    /// The manifest that was there.
    before: Option<Object>,
    /// Objects of earlier transactions that are still there, in words.
    untidy: Option<String>,
    /// What the folder holds, if another transaction has committed the same rows first.
    shared: Mutex<Option<SinkState>>,
}

/// The objects below a folder, by their paths in it.
pub(super) type Found = BTreeMap<String, Object>;

/// Lists a folder.
pub(super) fn list(place: &Place) -> Result<Found, ObjectError> {
    let (prefix, mut found) = (format!("{}/", place.objects.address.key), Found::new());
    place.bucket.list(&prefix, true, &mut |object| {
        if let Some(path) = object.key.strip_prefix(&prefix) {
            found.insert(path.to_owned(), object);
        }
    })?;
    Ok(found)
}

impl FolderTransaction {
    /// Compares what is to be written with what is there, and notes in the manifest that it is being written, if anything is. `previous`
    /// counts where the manifest is gone.
    pub(super) fn new(
        place: &Place,
        shaping: &SinkSpec,
        dataset: &Dataset<'_>,
        previous: Option<&SinkState>,
    ) -> Result<Self, SinkError> {
        for _ in 0..ATTEMPTS {
            match Self::begin(place, shaping, dataset, previous)? {
                Some(transaction) => return Ok(transaction),
                // Another one has begun or committed meanwhile.
                None => std::thread::sleep(PAUSE),
            }
        }
        Err(place.failed(&ObjectError::Changed))
    }

    /// Begins a transaction; none if the manifest is another one before that.
    fn begin(
        place: &Place,
        shaping: &SinkSpec,
        dataset: &Dataset<'_>,
        previous: Option<&SinkState>,
    ) -> Result<Option<Self>, SinkError> {
        let failed = |error: ObjectError| place.failed(&error);
        let (before, manifest) = manifest::read(place).map_err(failed)?.unzip();
        let found = list(place).map_err(failed)?;
        let manifest = manifest.flatten();
        let is_there = |file: &WrittenFile| found.get(&file.path).map(stamp).filter(|stamp| *stamp == file.stamp);
        let state = match &manifest {
            Some(manifest) => manifest.state.clone(),
            None => previous.map(|state| SinkState {
                files: state.files.iter().filter(|file| is_there(file).is_some()).cloned().collect(),
                manifest: None,
                ..state.clone()
            }),
        };
        let layout = layout_digest(shaping, &dataset.schema);
        let known = state.as_ref().filter(|state| state.layout == layout);
        let (token, ending) = (fresh_token(), shaping.ending());
        let earlier = Earlier::new(known, |file| job_of_object(&file.path, &ending));
        let jobs = jobs(shaping, "", dataset.segments);
        let compared = compare(
            jobs,
            dataset.segments,
            earlier,
            &|job| job.name.strip_suffix(&ending).unwrap_or(&job.name),
            &|file| Ok(is_there(file)),
        )?;
        let writing = Writing::new(place, shaping, dataset, compared, format!("-{token}{ending}"))?;
        let mut transaction = Self { writing, token, begun: None, before, untidy: None, shared: Mutex::default() };
        let mut manifest = manifest.unwrap_or_default();
        // What is gone need not be remembered.
        manifest.leaving.retain(|path| found.contains_key(path));
        transaction.untidy = transaction.delete(manifest.leaving.iter());
        if transaction.stands(&manifest, &found) {
            return Ok(Some(transaction));
        }
        let manifest = transaction.cleared(manifest, &found);
        let begun = Manifest::begun(&manifest, state, &transaction.token);
        match manifest::swap(place, transaction.before.as_ref(), &begun) {
            Ok(object) => transaction.begun = Some((object, begun)),
            Err(ObjectError::Changed) => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        Ok(Some(transaction))
    }

    /// Whether the folder is as it should be.
    fn stands(&self, manifest: &Manifest, found: &Found) -> bool {
        let is_listed =
            |state: &SinkState| state.result == self.writing.result && state.files.len() == self.writing.kept.len();
        let is_clean = !manifest.is_being_written() && !found.keys().any(|path| manifest.is_left(path));
        self.writing.jobs.is_empty() && is_clean && manifest.state.as_ref().is_some_and(is_listed)
    }

    /// Removes the uploads and objects of transactions that can't commit any more. One that is still at work may send more, so they are
    /// remembered for a while.
    fn cleared(&self, manifest: Manifest, found: &Found) -> Manifest {
        let place = &self.writing.place;
        if manifest.barred().is_empty() {
            return manifest;
        }
        let is_left = |name: &str| manifest.is_left(name);
        let unfinished = place.bucket.unfinished(&place.key(""), &is_left);
        let aborted = unfinished.and_then(|uploads| place.bucket.abort(&uploads));
        if let Err(error) = &aborted {
            tracing::warn!("{}: {error}", place.objects.address);
        }
        match self.delete(found.keys().filter(|path| is_left(path))) {
            None if aborted.is_ok() => manifest.cleared(),
            None => manifest,
            Some(untidy) => {
                tracing::warn!("{untidy}");
                manifest
            }
        }
    }

    /// Makes all objects appear; on an error, none of them stays.
    fn appear(&self, waiting: Vec<Waiting>) -> Result<Vec<WrittenFile>, SinkError> {
        let place = &self.writing.place;
        let threads = AT_ONCE.min(waiting.len());
        let (queue, written, failure) = (Mutex::new(waiting), Mutex::new(Vec::new()), Mutex::new(None));
        let next = || lock(&queue).pop();
        let work = || {
            while let Some((output, segments)) = next() {
                let (path, rows, digest) = (output.path.clone(), output.rows, output.bytes_digest);
                match output.appear(place, &Condition::Absent) {
                    Ok(object) => lock(&written).push(written_file(path, rows, digest, segments, &object)),
                    Err(error) => {
                        lock(&failure).get_or_insert(error);
                        lock(&queue).clear();
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let written = std::mem::take(&mut *lock(&written));
        match lock(&failure).take() {
            None => Ok(written),
            Some(error) => {
                self.withdraw(written.iter().map(|file| &file.path));
                Err(place.failed(&error))
            }
        }
    }

    /// Deletes objects that are not the folder's. Says what can't be deleted now: the next run tries again.
    fn delete<'a>(&self, paths: impl Iterator<Item = &'a String>) -> Option<String> {
        let place = &self.writing.place;
        let keys: Vec<String> = paths.map(|path| place.key(path)).collect();
        let undeleted = if keys.is_empty() { Ok(()) } else { place.bucket.delete(&keys) }.err()?;
        Some(untidy(&place.objects.address.to_string(), &undeleted))
    }

    /// Deletes what this transaction has sent: it fails. The next one knows by the manifest whose objects may still be there.
    fn withdraw<'a>(&self, paths: impl Iterator<Item = &'a String>) {
        if let Some(untidy) = self.delete(paths) {
            tracing::warn!("{untidy}");
        }
    }

    /// Swaps the manifest for one that lists the objects of this transaction; the first one that has begun and does so bars the others. Gives
    /// the manifest as it is then; none if another transaction came first.
    fn commit(&self, begun: &(Object, Manifest), state: &SinkState) -> Result<Option<(Object, Manifest)>, ObjectError> {
        let place = &self.writing.place;
        let mut now = begun.clone();
        for _ in 0..ATTEMPTS {
            let committed = Manifest::committed(&now.1, state.clone(), &self.token);
            match manifest::swap(place, Some(&now.0), &committed) {
                Ok(object) => return Ok(Some((object, committed))),
                Err(ObjectError::Changed) => match self.found()? {
                    Some(found) if found.1.may_commit(&self.token) => now = found,
                    // It was done, the answer was lost, and others have begun since.
                    Some(found) if self.is_listed(&found.1) => return Ok(Some(found)),
                    _ => return Ok(None),
                },
                Err(error) => return Err(error),
            }
            std::thread::sleep(PAUSE);
        }
        Err(ObjectError::Changed)
    }

    /// Whether a manifest lists objects of this transaction: only its own commit lists them first.
    fn is_listed(&self, manifest: &Manifest) -> bool {
        let mut listed = manifest.state.iter().flat_map(|state| &state.files);
        listed.any(|file| file.path.contains(&format!("-{}.", self.token)))
    }

    /// The manifest as it is now, unless it says nothing.
    fn found(&self) -> Result<Option<(Object, Manifest)>, ObjectError> {
        let read = manifest::read(&self.writing.place)?;
        Ok(read.and_then(|(object, manifest)| Some((object, manifest?))))
    }

    /// Whether no other transaction has committed since this one has begun.
    fn may_commit(&self) -> Result<bool, ObjectError> {
        Ok(self.found()?.is_some_and(|(_, manifest)| manifest.may_commit(&self.token)))
    }

    /// What the folder holds by another transaction, which has committed first: the same rows, or it is an error.
    fn by_others(&self) -> Result<SinkState, SinkError> {
        let place = &self.writing.place;
        let found = self.found().map_err(|error| place.failed(&error))?;
        let of_others = found.and_then(|(object, manifest)| Some((object, manifest.state?)));
        let is_same =
            |state: &SinkState| (state.result, state.layout) == (self.writing.result, self.writing.layout_digest);
        match of_others.filter(|(_, state)| is_same(state)) {
            Some((object, state)) => Ok(SinkState { manifest: Some(stamp(&object)), ..state }),
            None => Err(SinkError::Object {
                address: place.objects.address.to_string(),
                reason: "another run writes there at the same time, and has come first; run again".to_owned(),
            }),
        }
    }

    /// Removes what transactions have left that this one has barred, and the objects that it has replaced. Gives the manifest as it is then.
    fn tidy(&self, (object, committed): (Object, Manifest)) -> (Object, Option<String>) {
        let place = &self.writing.place;
        let untidy = self.delete(committed.leaving.iter());
        if committed.barred().is_empty() {
            return (object, untidy);
        }
        let Ok(found) = list(place) else { return (object, untidy) };
        let rest = self.cleared(committed.clone(), &found);
        let swapped = (rest != committed).then(|| manifest::swap(place, Some(&object), &rest).ok()).flatten();
        (swapped.unwrap_or(object), untidy)
    }
}

impl Transaction for FolderTransaction {
    fn jobs(&self) -> &[Job] {
        &self.writing.jobs
    }

    fn writer(&self, job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError> {
        self.writing.writer(job)
    }

    fn prepare(&self, _syncs: &mut Syncs) -> Result<(), SinkError> {
        let Some((object, _)) = &self.begun else { return Ok(()) };
        let place = &self.writing.place;
        match place.bucket.find(&object.key) {
            Ok(now) if stamp(&now) == stamp(object) => return Ok(()),
            Ok(_) | Err(ObjectError::NoObject) => {}
            Err(error) => return Err(place.failed(&error)),
        }
        if !self.may_commit().map_err(|error| place.failed(&error))? {
            *lock(&self.shared) = Some(self.by_others()?);
        }
        Ok(())
    }

    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError> {
        let nothing = |state| Ok(Finalized { state, written: Written::Files(0), untidy: self.untidy.clone() });
        if let Some(state) = lock(&self.shared).take() {
            return nothing(state);
        }
        let Some(begun) = &self.begun else {
            let manifest = self.before.as_ref().map(stamp);
            return nothing(SinkState { manifest, ..self.writing.state(Vec::new()) });
        };
        let written = self.appear(self.writing.waiting()?)?;
        let new: Vec<String> = written.iter().map(|file| file.path.clone()).collect();
        let state = self.writing.state(written);
        match self.commit(begun, &state) {
            Ok(Some(committed)) => {
                let (object, untidy) = self.tidy(committed);
                let state = SinkState { manifest: Some(stamp(&object)), ..state };
                Ok(Finalized { state, written: Written::Files(new.len()), untidy })
            }
            Ok(None) => {
                self.withdraw(new.iter());
                nothing(self.by_others()?)
            }
            Err(error) => {
                // Where it can't be told whether the manifest was swapped, the objects stay: the next run knows.
                if matches!(error, ObjectError::Changed) || self.may_commit().is_ok_and(|may| may) {
                    self.withdraw(new.iter());
                }
                Err(self.writing.place.failed(&error))
            }
        }
    }
}

/// What it means that objects which have left a folder are still there.
fn untidy(address: &str, undeleted: &Undeleted) -> String {
    let Undeleted { count, error } = undeleted;
    let objects = if *count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
    format!(
        "{objects} of earlier runs could not be deleted in {address}: {error}. Until then whoever lists the folder, and does not read its \
         manifest, sees their rows beside those of this run; the next run tries again"
    )
}

/// The name of the job that wrote an object, without the ending.
fn job_of_object<'a>(path: &'a str, ending: &str) -> &'a str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let stem = name.strip_suffix(ending).unwrap_or(name);
    stem.rsplit_once('-').map_or(stem, |(job, _)| job)
}

/// What no other transaction has: no name of an object is used twice.
fn fresh_token() -> String {
    let mut hasher = KeyHasher::new("flowc objects token");
    let random = || RandomState::new().hash_one((std::process::id(), SystemTime::now()));
    let digest = hasher.number(random()).number(random()).finish();
    blake3::Hash::from_bytes(digest).to_hex()[..TOKEN].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_by_their_jobs() {
        let token = fresh_token();
        assert!(token.len() == TOKEN && token != fresh_token());
        let path = format!("day=1/part-00000-{token}.csv.gz");
        assert_eq!(job_of_object(&path, ".csv.gz"), "part-00000");
        assert_eq!(job_of_object("odd.csv", ".csv"), "odd");
    }

    #[test]
    fn what_is_left_behind_is_counted() {
        let undeleted = |count| Undeleted { count, error: ObjectError::Denied { reason: "403 Forbidden".to_owned() } };
        let said = untidy("s3://a/b", &undeleted(1));
        assert!(said.starts_with("1 object of earlier runs could not be deleted in s3://a/b: permission denied (403"));
        assert!(untidy("s3://a/b", &undeleted(2)).starts_with("2 objects of"));
    }
}
