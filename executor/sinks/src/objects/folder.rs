//! A folder of objects: it changes in the step that swaps its manifest.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::SystemTime;

use flowc_objects::{Bucket, Condition, Object, ObjectError, Undeleted};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::SinkSpec;
use flowc_platform::lock;

use super::manifest::{self, Manifest};
use super::place::{Place, stamp};
use super::transaction::{Waiting, Writing, written_file};
use crate::error::SinkError;
use crate::files::compare::{Earlier, compare, jobs};
use crate::files::manifest::MANIFEST;
use crate::sink::{Dataset, Finalized, Job, RowWriter, Transaction, Written};
use crate::state::{SinkState, WrittenFile, layout_digest};
use crate::syncs::Syncs;

/// How many objects appear at once.
const AT_ONCE: usize = 8;
/// Hexadecimal digits of a token.
const TOKEN: usize = 12;

/// A folder that is being written.
pub(super) struct FolderTransaction {
    writing: Writing,
    token: String,
    /// The manifest that has this transaction as its last writer, and what it says; none if the folder is as it should be.
    fence: Option<(Object, Manifest)>,
    /// The manifest that was there.
    before: Option<Object>,
    /// Objects of earlier transactions that are still there, in words.
    untidy: Option<String>,
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
    /// Compares what is to be written with what is there, and bars others from the folder if anything is to be written. `previous` counts
    /// where the manifest is gone.
    pub(super) fn new(
        place: &Place,
        shaping: &SinkSpec,
        dataset: &Dataset<'_>,
        previous: Option<&SinkState>,
    ) -> Result<Self, SinkError> {
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
        let mut transaction = Self { writing, token, fence: None, before, untidy: None };
        let mut manifest = manifest.unwrap_or_default();
        // What is gone need not be remembered.
        manifest.leaving.retain(|path| found.contains_key(path));
        transaction.untidy = transaction.delete(manifest.leaving.iter());
        if !transaction.stands(&manifest) {
            transaction.begin(manifest, state)?;
        }
        Ok(transaction)
    }

    /// Whether the folder is as it should be.
    fn stands(&self, manifest: &Manifest) -> bool {
        let is_listed =
            |state: &SinkState| state.result == self.writing.result && state.files.len() == self.writing.kept.len();
        self.writing.jobs.is_empty() && manifest.writers.is_empty() && manifest.state.as_ref().is_some_and(is_listed)
    }

    /// Bars earlier transactions, and removes what they left behind.
    fn begin(&mut self, before: Manifest, state: Option<SinkState>) -> Result<(), SinkError> {
        let place = &self.writing.place;
        let begun = Manifest::begun(&before, state, &self.token);
        let object = manifest::swap(place, self.before.as_ref(), &begun).map_err(|error| self.barred(&error))?;
        if !before.writers.is_empty() {
            self.clear(&before).map_err(|error| place.failed(&error))?;
        }
        self.fence = Some((object, begun));
        Ok(())
    }

    /// Removes the uploads and objects of transactions that can't commit any more.
    fn clear(&self, before: &Manifest) -> Result<(), ObjectError> {
        let place = &self.writing.place;
        let is_left = |name: &str| before.writers.iter().any(|writer| name.contains(&format!("-{writer}.")));
        let prefix = place.key("");
        if let Err(error) = place.bucket.abort_unfinished(&prefix, &is_left) {
            tracing::warn!("{}: {error}", place.objects.address);
        }
        let found = list(place)?;
        let left = found.keys().filter(|path| is_left(path) && !before.lists(path));
        let deleted = place.bucket.delete(&left.map(|path| place.key(path)).collect::<Vec<_>>());
        deleted.map_err(|undeleted| undeleted.error)
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
                Err(self.barred(&error))
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

    /// Swaps the manifest. Gives it as it is then.
    fn commit(&self, fence: &Object, begun: &Manifest, state: &SinkState) -> Result<(Object, Manifest), SinkError> {
        let place = &self.writing.place;
        let committed = Manifest::committed(begun, state.clone(), &self.token);
        match manifest::swap(place, Some(fence), &committed) {
            Ok(object) => Ok((object, committed)),
            Err(error) => {
                // Where it can't be told whether the manifest was swapped, the objects stay: the next run knows.
                let now = place.bucket.find(&place.key(MANIFEST));
                if matches!(error, ObjectError::Changed) || now.is_ok_and(|now| stamp(&now) == stamp(fence)) {
                    let is_new = |file: &&WrittenFile| !self.writing.kept.iter().any(|kept| kept.path == file.path);
                    self.withdraw(state.files.iter().filter(is_new).map(|file| &file.path));
                }
                Err(self.barred(&error))
            }
        }
    }

    /// An error; if the manifest is another one, it is because of another run.
    fn barred(&self, error: &ObjectError) -> SinkError {
        let place = &self.writing.place;
        match error {
            ObjectError::Changed => SinkError::Object {
                address: place.objects.address.to_string(),
                reason: "another run writes there at the same time, and has taken over; run again when it is done"
                    .to_owned(),
            },
            other => place.failed(other),
        }
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
        let Some((fence, _)) = &self.fence else { return Ok(()) };
        match self.writing.place.bucket.find(&fence.key) {
            Ok(now) if stamp(&now) == stamp(fence) => Ok(()),
            Ok(_) | Err(ObjectError::NoObject) => Err(self.barred(&ObjectError::Changed)),
            Err(error) => Err(self.barred(&error)),
        }
    }

    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError> {
        let Some((fence, begun)) = &self.fence else {
            let manifest = self.before.as_ref().map(stamp);
            let state = SinkState { manifest, ..self.writing.state(Vec::new()) };
            return Ok(Finalized { state, written: Written::Files(0), untidy: self.untidy });
        };
        let written = self.appear(self.writing.waiting()?)?;
        let count = written.len();
        let state = self.writing.state(written);
        let (object, committed) = self.commit(fence, begun, &state)?;
        let untidy = self.delete(committed.leaving.iter());
        let state = SinkState { manifest: Some(stamp(&object)), ..state };
        Ok(Finalized { state, written: Written::Files(count), untidy })
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
