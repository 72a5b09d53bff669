//! The segments of a dataset that a place which rows are appended to does not have yet: as jobs, and their rows until all are there.

use std::collections::HashMap;
use std::sync::Mutex;

use flowc_planner::key::KeyHasher;
use flowc_planner::plan::ChangedRows;
use flowc_platform::lock;

use crate::error::SinkError;
use crate::matching::{Appended, Matching};
use crate::sink::{Dataset, Job};

/// The rows of one job, encoded, in the temporary file of the run. `P` is where some of them lie.
pub(crate) struct EncodedRows<P> {
    pub(crate) rows: u64,
    /// BLAKE3 of the rows, where it is wanted.
    pub(crate) digest: [u8; 32],
    /// Digests of the first rows, where they may be those of a segment that was appended.
    pub(crate) prefixes: HashMap<u64, [u8; 32]>,
    pub(crate) pieces: Vec<P>,
}

/// The segments that are to come, each of which is a job.
pub(crate) struct PendingSegments<P> {
    /// Of the dataset's segments.
    digests: Vec<[u8; 32]>,
    /// What the place has.
    appended: Vec<Appended>,
    matching: Matching,
    jobs: Vec<Job>,
    /// The rows of each job, by its number.
    encoded: Mutex<Vec<Option<EncodedRows<P>>>>,
}

/// What is to be written.
pub(crate) struct Decided<P> {
    /// By jobs: the rows, and how many of the first ones the place has.
    pub(crate) new: Vec<(EncodedRows<P>, u64)>,
    /// All that the place is to have of the sink.
    pub(crate) segments: Vec<Appended>,
}

impl<P> Decided<P> {
    /// Number of rows that are written.
    pub(crate) fn records(&self) -> u64 {
        self.new.iter().map(|(encoded, skipped)| encoded.rows - skipped).sum()
    }
}

impl<P> PendingSegments<P> {
    /// Holds a dataset against what a place has. A segment is identified under the domain by its content and by the layout of what is
    /// made of it.
    pub(crate) fn new(domain: &str, layout: &[u8; 32], dataset: &Dataset<'_>, appended: &[Appended]) -> Self {
        let digest = |segment: &[u8; 32]| KeyHasher::new(domain).digest(layout).digest(segment).finish();
        let digests: Vec<_> = dataset.segments.iter().map(|segment| digest(&segment.digest)).collect();
        let matching = Matching::new(appended, &digests);
        let new = matching.kept.iter().enumerate().filter(|(_, kept)| kept.is_none());
        let jobs: Vec<Job> = new.map(|(i, _)| Job { segments: vec![i], name: format!("segment {}", i + 1) }).collect();
        let encoded = Mutex::new(jobs.iter().map(|_| None).collect());
        Self { digests, appended: appended.to_vec(), matching, jobs, encoded }
    }

    /// The same for a table that takes back or writes over what was appended: no segment goes on where another one has ended.
    #[cfg(any(feature = "databases", feature = "delta"))]
    #[must_use]
    pub(crate) fn without_lost(mut self) -> Self {
        self.matching.lost.clear();
        self
    }

    pub(crate) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// The rows of a job before the first one.
    pub(crate) fn begin(&self) -> EncodedRows<P> {
        let prefixes = self.matching.lost.iter().map(|&i| (self.appended[i].rows, [0; 32])).collect();
        EncodedRows { rows: 0, digest: [0; 32], prefixes, pieces: Vec::new() }
    }

    /// Takes in all rows of a job.
    pub(crate) fn take(&self, job: usize, rows: EncodedRows<P>) {
        if let Some(place) = lock(&self.encoded).get_mut(job) {
            *place = Some(rows);
        }
    }

    /// Decides what is written, once all jobs are done. `refused` says what is wrong where so many segments have changed that were appended.
    ///
    /// # Errors
    /// If a job was not done, or if rows have changed and `changed` says that this fails.
    pub(crate) fn decide(
        &self,
        changed: ChangedRows,
        refused: impl FnOnce(usize) -> SinkError,
    ) -> Result<Decided<P>, SinkError> {
        let encoded = std::mem::take(&mut *lock(&self.encoded));
        let mut matching = Matching { kept: Vec::new(), lost: self.matching.lost.clone() };
        let mut new = Vec::with_capacity(encoded.len());
        for (job, encoded) in encoded.into_iter().enumerate() {
            let encoded = encoded.ok_or(SinkError::Incomplete { job })?;
            let claimed = matching.claim(&self.appended, &encoded.prefixes);
            new.push((encoded, claimed.map_or(0, |i| self.appended[i].rows)));
        }
        if !matching.lost.is_empty() && changed == ChangedRows::Fail {
            return Err(refused(matching.lost.len()));
        }
        let mut written = new.iter().map(|(encoded, _)| (encoded.rows, encoded.digest));
        let segment = |(i, kept): (usize, &Option<usize>)| match kept {
            Some(kept) => self.appended.get(*kept).cloned(),
            None => written.next().map(|(rows, records)| Appended { digest: self.digests[i], rows, records }),
        };
        let segments = self.matching.kept.iter().enumerate().filter_map(segment).collect();
        Ok(Decided { new, segments })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Schema;

    use super::*;
    use crate::state::SinkSegment;

    fn pending(segments: &[u8], appended: &[Appended]) -> PendingSegments<()> {
        let segment = |byte: &u8| SinkSegment { name: None, digest: [*byte; 32] };
        let segments: Vec<SinkSegment> = segments.iter().map(segment).collect();
        let dataset = Dataset { schema: Arc::new(Schema::empty()), segments: &segments };
        PendingSegments::new("tests", &[0; 32], &dataset, appended)
    }

    fn refused(lost: usize) -> SinkError {
        SinkError::Incomplete { job: 100 + lost }
    }

    /// Does all jobs: each has so many rows, and the digest of so many first ones is known.
    fn done(pending: &PendingSegments<()>, rows: u64, digest: u8) {
        for job in 0..pending.jobs().len() {
            let mut encoded = pending.begin();
            (encoded.rows, encoded.digest) = (rows, [digest; 32]);
            encoded.prefixes.values_mut().for_each(|prefix| *prefix = [1; 32]);
            pending.take(job, encoded);
        }
    }

    #[test]
    fn what_was_appended_stays_and_a_segment_that_has_grown_goes_on() {
        let first = pending(&[7, 8], &[]);
        assert_eq!(first.jobs().iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["segment 1", "segment 2"]);
        done(&first, 3, 1);
        let decided = first.decide(ChangedRows::Fail, refused).ok().unwrap();
        assert_eq!((decided.records(), decided.segments.len()), (6, 2));
        // The second one is another now, and begins with what it was.
        let next = pending(&[7, 9], &decided.segments);
        assert_eq!(next.jobs()[0].segments, [1]);
        done(&next, 5, 2);
        let grown = next.decide(ChangedRows::Fail, refused).ok().unwrap();
        assert_eq!((grown.records(), grown.new[0].1), (2, 3));
        assert_eq!(grown.segments[0], decided.segments[0]);
        assert_eq!((grown.segments[1].rows, grown.segments[1].records), (5, [2; 32]));
    }

    #[test]
    fn rows_that_have_changed_are_refused_where_they_can_not_be_taken_back() {
        let first = pending(&[7], &[]);
        assert!(matches!(first.decide(ChangedRows::Fail, refused), Err(SinkError::Incomplete { job: 0 })));
        let first = pending(&[7], &[]);
        done(&first, 3, 2);
        let segments = first.decide(ChangedRows::Fail, refused).ok().unwrap().segments;
        let changed = || {
            let changed = pending(&[8], &segments);
            done(&changed, 3, 3);
            changed
        };
        assert!(matches!(changed().decide(ChangedRows::Fail, refused), Err(SinkError::Incomplete { job: 101 })));
        assert_eq!(changed().decide(ChangedRows::Append, refused).ok().unwrap().records(), 3);
        let over = pending(&[8], &segments).without_lost();
        done(&over, 3, 3);
        assert_eq!(over.decide(ChangedRows::Fail, refused).ok().unwrap().records(), 3);
    }
}
