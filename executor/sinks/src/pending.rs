//! The segments of a dataset that a place which rows are appended to does not have yet: as jobs, and their rows until all are there.

use std::sync::Mutex;

use flowc_planner::key::KeyHasher;
use flowc_planner::plan::ChangedRows;
use flowc_platform::lock;

use crate::error::SinkError;
use crate::matching::{Appended, Matching};
use crate::sink::{Dataset, Job};
use crate::spool::{Piece, Spool};
use crate::told::{FirstRow, ToldRows, ToldSegment};

/// The rows of one job, encoded, in the temporary file of the run. `P` is where some of them lie.
pub(crate) struct EncodedRows<P> {
    pub(crate) rows: u64,
    /// BLAKE3 of the rows, where it is wanted.
    pub(crate) digest: [u8; 32],
    /// Where the bytes lie that tell rows from others, in order; those that the digest is of. Only if rows may have been appended before.
    pub(crate) told: Vec<Piece>,
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

    /// Whether rows may have been appended before, in segments that are gone.
    pub(crate) fn are_rows_told(&self) -> bool {
        !self.matching.lost.is_empty()
    }

    /// The rows of a job before the first one.
    pub(crate) fn begin(&self) -> EncodedRows<P> {
        EncodedRows { rows: 0, digest: [0; 32], told: Vec::new(), pieces: Vec::new() }
    }

    /// Takes in all rows of a job.
    pub(crate) fn take(&self, job: usize, rows: EncodedRows<P>) {
        if let Some(place) = lock(&self.encoded).get_mut(job) {
            *place = Some(rows);
        }
    }

    /// Decides what is written, once all jobs are done. The rows that tell them from others lie in the spool, and `first_row` tells how long
    /// one is. `refused` says what is wrong where so many segments have changed that were appended.
    ///
    /// # Errors
    /// If a job was not done, if its rows can't be read, or if rows have changed and `changed` says that this fails.
    pub(crate) fn decide(
        &self,
        changed: ChangedRows,
        (spool, first_row): (&Spool, FirstRow),
        refused: impl FnOnce(usize) -> SinkError,
    ) -> Result<Decided<P>, SinkError> {
        let encoded = std::mem::take(&mut *lock(&self.encoded)).into_iter().enumerate();
        let encoded = encoded.map(|(job, encoded)| encoded.ok_or(SinkError::Incomplete { job }));
        let encoded = encoded.collect::<Result<Vec<_>, _>>()?;
        let told = self.jobs.iter().zip(&encoded).map(|(job, encoded)| ToldSegment {
            pieces: &encoded.told,
            rows: encoded.rows,
            goes_on: job.segments.first().is_some_and(|&segment| self.goes_on(segment)),
        });
        let told = ToldRows { spool, first_row, segments: told.collect() };
        let mut lost = self.matching.lost.clone();
        let skipped = told.appended(&self.appended, &mut lost)?;
        if !lost.is_empty() && changed == ChangedRows::Fail {
            return Err(refused(lost.len()));
        }
        let new: Vec<_> = encoded.into_iter().zip(skipped).collect();
        let mut written = new.iter().map(|(encoded, _)| (encoded.rows, encoded.digest));
        let segment = |(i, kept): (usize, &Option<usize>)| match kept {
            Some(kept) => self.appended.get(*kept).cloned(),
            None => written.next().map(|(rows, records)| Appended { digest: self.digests[i], rows, records }),
        };
        let segments = self.matching.kept.iter().enumerate().filter_map(segment).collect();
        Ok(Decided { new, segments })
    }

    /// Whether a segment is the next one behind one that is new: those without rows in between do not count.
    fn goes_on(&self, segment: usize) -> bool {
        let has_rows = |place: usize| self.appended.get(place).is_some_and(|kept| kept.rows > 0);
        let mut before = self.matching.kept.iter().take(segment).rev().map(|kept| kept.map(has_rows));
        before.find(|kept| *kept != Some(false)) == Some(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::Schema;
    use proptest::collection::vec;
    use proptest::prelude::*;

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

    /// A row of a byte.
    fn first_row(rows: &[u8]) -> Option<usize> {
        rows.first().map(|_| 1)
    }

    /// Does all jobs, whose rows are the bytes of these, in pieces of so many.
    fn done(pending: &PendingSegments<()>, jobs: &[&[u8]], piece: usize, spool: &Spool) {
        for (job, rows) in jobs.iter().enumerate() {
            let mut encoded = pending.begin();
            (encoded.rows, encoded.digest) = (rows.len() as u64, *blake3::hash(rows).as_bytes());
            encoded.told = rows.chunks(piece).map(|rows| spool.put(rows).unwrap()).collect();
            pending.take(job, encoded);
        }
    }

    fn decided(pending: &PendingSegments<()>, jobs: &[&[u8]], changed: ChangedRows) -> Result<Decided<()>, SinkError> {
        let spool = Spool::new().unwrap();
        done(pending, jobs, 2, &spool);
        pending.decide(changed, (&spool, first_row), refused)
    }

    #[test]
    fn what_was_appended_stays_and_a_segment_that_has_grown_goes_on() {
        let first = pending(&[7, 8], &[]);
        assert_eq!(first.jobs().iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["segment 1", "segment 2"]);
        let first = decided(&first, &[b"abc", b"def"], ChangedRows::Fail).ok().unwrap();
        assert_eq!((first.records(), first.segments.len()), (6, 2));
        // The second one is another now, and begins with what it was.
        let next = pending(&[7, 9], &first.segments);
        assert_eq!(next.jobs()[0].segments, [1]);
        let grown = decided(&next, &[b"defgh"], ChangedRows::Fail).ok().unwrap();
        assert_eq!((grown.records(), grown.new[0].1), (2, 3));
        assert_eq!(grown.segments[0], first.segments[0]);
        assert_eq!((grown.segments[1].rows, grown.segments[1].records), (5, *blake3::hash(b"defgh").as_bytes()));
    }

    #[test]
    fn rows_that_have_changed_are_refused_where_they_can_not_be_taken_back() {
        let first = pending(&[7], &[]);
        let spool = Spool::new().unwrap();
        let undone = first.decide(ChangedRows::Fail, (&spool, first_row), refused);
        assert!(matches!(undone, Err(SinkError::Incomplete { job: 0 })));
        let segments = decided(&pending(&[7], &[]), &[b"abc"], ChangedRows::Fail).ok().unwrap().segments;
        let changed = |changed| decided(&pending(&[8], &segments), &[b"abd"], changed);
        assert!(matches!(changed(ChangedRows::Fail), Err(SinkError::Incomplete { job: 101 })));
        assert_eq!(changed(ChangedRows::Append).ok().unwrap().records(), 3);
        let over = pending(&[8], &segments).without_lost();
        assert_eq!(decided(&over, &[b"abd"], ChangedRows::Fail).ok().unwrap().records(), 3);
    }

    #[test]
    fn segments_without_rows_are_never_lost_and_are_between_no_others() {
        let before = decided(&pending(&[1, 2, 3, 4], &[]), &[b"ab", b"", b"cd", b""], ChangedRows::Fail).ok().unwrap();
        // The rows of one segment now reach over the boundary of two others, beside which one is as it was.
        let next = pending(&[5, 2, 6], &before.segments);
        let next = decided(&next, &[b"a", b"bcde"], ChangedRows::Fail).ok().unwrap();
        assert_eq!(next.new.iter().map(|(_, skipped)| *skipped).collect::<Vec<_>>(), [1, 3]);
    }

    /// Cuts rows behind those places that say so.
    fn cut<'r>(rows: &'r [u8], cuts: &[bool]) -> Vec<&'r [u8]> {
        let is_end = |place: usize| cuts.get((place + 1) * 7 % cuts.len().max(1)).copied().unwrap_or(false);
        let (mut all, mut start) = (Vec::new(), 0);
        for end in (1..=rows.len()).filter(|&end| end == rows.len() || is_end(end)) {
            all.push(&rows[start..end]);
            start = end;
        }
        all
    }

    /// What is sent of a dataset with these segments, to a place that has so much; and what it has then.
    fn sent(segments: &[&[u8]], before: &[Appended], piece: usize) -> (Vec<u8>, Vec<Appended>) {
        let digests = segments.iter().map(|rows| SinkSegment { name: None, digest: *blake3::hash(rows).as_bytes() });
        let digests: Vec<_> = digests.collect();
        let dataset = Dataset { schema: Arc::new(Schema::empty()), segments: &digests };
        let pending = PendingSegments::<()>::new("tests", &[0; 32], &dataset, before);
        let jobs: Vec<&[u8]> = pending.jobs().iter().map(|job| segments[job.segments[0]]).collect();
        let spool = Spool::new().unwrap();
        done(&pending, &jobs, piece, &spool);
        let decided = pending.decide(ChangedRows::Fail, (&spool, first_row), refused).ok().unwrap();
        let rows = jobs.iter().zip(&decided.new).flat_map(|(rows, (_, skipped))| rows[*skipped as usize..].to_vec());
        (rows.collect(), decided.segments)
    }

    proptest! {
        /// Streams that grow, as the partitions of a topic do or the ranges of a table: read in steps, and then anew with other cuts. What
        /// was sent is never sent again, and what is new is.
        #[test]
        fn rows_are_sent_once_however_they_are_read(
            steps in vec((0_usize..20, 0_usize..20), 1..6),
            cuts in vec(vec(any::<bool>(), 1..9), 12),
            piece in 1_usize..9,
        ) {
            let (mut parts, mut ends): (Vec<Vec<u8>>, _) = (Vec::new(), [0_usize, 128]);
            let (mut appended, mut all) = (Vec::new(), Vec::new());
            for &(first, second) in &steps {
                for (end, rows) in ends.iter_mut().zip([first, second]) {
                    parts.push((*end..*end + rows).map(|row| row as u8).collect());
                    *end += rows;
                }
                let segments: Vec<&[u8]> = parts.iter().zip(cuts.iter().cycle()).flat_map(|(rows, cuts)| cut(rows, cuts)).collect();
                let (rows, after) = sent(&segments, &appended, piece);
                all.extend(rows);
                appended = after;
            }
            let rows = [(0..ends[0] + 3).map(|row| row as u8).collect::<Vec<u8>>(), (128..ends[1]).map(|row| row as u8).collect()];
            let anew: Vec<&[u8]> = rows.iter().zip(cuts.iter().rev()).flat_map(|(rows, cuts)| cut(rows, cuts)).collect();
            all.extend(sent(&anew, &appended, piece).0);
            all.sort_unstable();
            prop_assert_eq!(all, rows.concat());
        }
    }
}
