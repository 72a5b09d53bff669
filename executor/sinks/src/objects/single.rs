//! One object: it appears in one step, if what was there is still there.

use flowc_objects::{Bucket, Condition, Object, ObjectError, Unfinished};
use flowc_planner::plan::SinkSpec;

use super::place::{Place, stamp};
use super::staging::StagedOutput;
use super::transaction::{Writing, written_file};
use crate::error::SinkError;
use crate::files::compare::{Earlier, compare, jobs};
use crate::sink::{Dataset, Finalized, Job, RowWriter, Transaction, Written};
use crate::state::{SinkState, WrittenFile, layout_digest};
use crate::syncs::Syncs;

/// One object that is being written.
pub(super) struct SingleTransaction {
    writing: Writing,
    /// What was there.
    before: Option<Object>,
}

impl SingleTransaction {
    /// Compares what is to be written with what is there.
    pub(super) fn new(
        place: &Place,
        shaping: &SinkSpec,
        dataset: &Dataset<'_>,
        previous: Option<&SinkState>,
    ) -> Result<Self, SinkError> {
        let before = find(place)?;
        let layout = layout_digest(shaping, &dataset.schema);
        let known = previous.filter(|state| state.layout == layout);
        let found = before.as_ref().map(stamp);
        let name = place.objects.address.to_string();
        let earlier = Earlier::new(known, |_| name.as_str());
        let verified = |file: &WrittenFile| Ok(found.filter(|found| *found == file.stamp));
        let jobs = jobs(shaping, &name, dataset.segments);
        let compared = compare(jobs, dataset.segments, earlier, &|job| job.name.as_str(), &verified)?;
        Ok(Self { writing: Writing::new(place, shaping, dataset, compared, String::new())?, before })
    }

    fn condition(&self) -> Condition {
        self.before.clone().map_or(Condition::Absent, Condition::Unchanged)
    }
}

/// What is there.
fn find(place: &Place) -> Result<Option<Object>, SinkError> {
    match place.bucket.find(&place.objects.address.key) {
        Ok(object) => Ok(Some(object)),
        Err(ObjectError::NoObject) => Ok(None),
        Err(error) => Err(place.failed(&error)),
    }
}

/// Uploads of the object by others that have not ended.
fn unfinished(place: &Place, output: &StagedOutput) -> Result<Vec<Unfinished>, ObjectError> {
    let key = &place.objects.address.key;
    let mut uploads = place.bucket.unfinished(key, &|unfinished| unfinished == key)?;
    uploads.retain(|upload| !output.is_in(upload));
    Ok(uploads)
}

impl Transaction for SingleTransaction {
    fn jobs(&self) -> &[Job] {
        &self.writing.jobs
    }

    fn writer(&self, job: usize) -> Result<Box<dyn RowWriter + '_>, SinkError> {
        self.writing.writer(job)
    }

    fn prepare(&self, _syncs: &mut Syncs) -> Result<(), SinkError> {
        let place = &self.writing.place;
        match self.writing.jobs.is_empty() || find(place)?.as_ref().map(stamp) == self.before.as_ref().map(stamp) {
            true => Ok(()),
            false => Err(place.failed(&ObjectError::Changed)),
        }
    }

    fn finalize(self: Box<Self>) -> Result<Finalized, SinkError> {
        let (place, condition) = (&self.writing.place, self.condition());
        let mut written = Vec::new();
        for (output, segments) in self.writing.waiting()? {
            let (rows, digest) = (output.rows, output.bytes_digest);
            // Whoever has begun to write the object by now has looked at what was there before it appears, and can't write it any more:
            // a run that was killed, or one that is at work. What begins later has seen it, and is left alone.
            let late = unfinished(place, &output);
            let object = output.appear(place, &condition).map_err(|error| place.failed(&error))?;
            if let Err(error) = late.and_then(|uploads| place.bucket.abort(&uploads)) {
                tracing::warn!("{}: {error}", place.objects.address);
            }
            written.push(written_file(place.objects.address.to_string(), rows, digest, segments, &object));
        }
        let count = written.len();
        Ok(Finalized { state: self.writing.state(written), written: Written::Files(count), untidy: None })
    }
}
