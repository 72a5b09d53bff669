//! One object: it appears in one step, if what was there is still there.

use flowc_objects::{Bucket, Condition, Object, ObjectError};
use flowc_planner::plan::SinkSpec;

use super::place::{Place, stamp};
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
    /// Compares what is to be written with what is there. Uploads of the object that were not ended are aborted: those of killed runs,
    /// and of a run that writes at the same time, which fails then.
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
        let writing = Writing::new(place, shaping, dataset, compared, String::new())?;
        if !writing.jobs.is_empty() {
            let key = &place.objects.address.key;
            if let Err(error) = place.bucket.abort_unfinished(key, &|unfinished| unfinished == key) {
                tracing::warn!("{}: {error}", place.objects.address);
            }
        }
        Ok(Self { writing, before })
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
            let object = output.appear(place, &condition).map_err(|error| place.failed(&error))?;
            written.push(written_file(place.objects.address.to_string(), rows, digest, segments, &object));
        }
        let count = written.len();
        Ok(Finalized { state: self.writing.state(written), written: Written::Files(count), untidy: None })
    }
}
