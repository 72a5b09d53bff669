//! Writes sinks from segments that are all there, and only where they are not as they should be.
//!
//! May use `inputs` and `flowc-sinks`; knows nothing of running stages.

pub(crate) mod path_conflicts;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use flowc_columns::ColumnDigest;
use flowc_demand::Node;
use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher};
use flowc_planner::plan::{Sink, StreamId, shown_columns};
use flowc_platform::lock;
use flowc_sinks::{Dataset, Finalized, Intact, Remembered, SinkError, SinkSegment, SinkState, Sinks, Transaction};

use crate::inputs::lookup::{ColumnLocation, Locator, Lookups};
use crate::inputs::lookup_cache::SegmentContent;
use crate::inputs::read::Reading;
use crate::remembered::{ANNOUNCED, CONTENT, SINK};
use crate::{Cancel, Error, OutputReport, SinkOutlook};

/// Writes the sinks of one plan.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    /// Where rows come from.
    pub reading: Reading<'a>,
    /// Makes the sink of each specification, which rows are written to.
    pub sinks: &'a Sinks,
    /// Threads for the jobs of one sink.
    pub threads: usize,
    /// Stops the run.
    pub cancel: &'a Cancel,
}

/// A sink that has been written, or stands already.
pub(crate) struct Prepared {
    /// What the sink holds.
    pub report: OutputReport,
    /// Whether anything is left to do.
    pub standing: Standing,
}

/// Whether a sink stands as it should.
pub(crate) enum Standing {
    /// As an earlier transaction left it.
    Yes(SinkState),
    /// Not before this is finalized.
    No(Box<dyn Transaction>),
}

/// What the segments of a sink hold, node by node.
type Contents = Vec<Arc<[SegmentContent]>>;

/// How closely the segments of a sink are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// Source columns are decoded where their content is not known yet.
    Close,
    /// Nothing is read.
    FromAfar,
}

impl Outputs<'_> {
    /// Writes what differs. Of a sink that is staged nothing is seen before the transaction is finalized.
    pub(crate) fn prepare(&self, sink: &Sink) -> Result<Prepared, Error> {
        let Some(contents) = self.contents(sink, Looks::Close)? else {
            // Else the next run would take the rows to be there, too.
            self.reading.locator.lookup.store.forget_found()?;
            return Err(self.incomplete(sink));
        };
        let segments = self.segments(sink, &contents);
        let dataset = Dataset { schema: self.schema(sink.stream), segments: &segments };
        let report = self.report(sink, &contents);
        let (to, previous) = (self.sinks.sink(&sink.spec), self.previous(sink)?);
        let previous = match previous {
            Some(state) if state.result == to.result(&dataset) && to.is_intact(&state) == Intact::Yes => {
                return Ok(Prepared { report, standing: Standing::Yes(state) });
            }
            other => other,
        };
        let announced: Option<SinkState> = self.reading.locator.lookup.store.memo(ANNOUNCED, &self.memo_key(sink))?;
        let earlier = Remembered { finalized: previous.as_ref(), announced: announced.as_ref() };
        let transaction = to.open(&dataset, earlier).map_err(failed(sink))?;
        self.write_jobs(sink, &*transaction)?;
        Ok(Prepared { report, standing: Standing::No(transaction) })
    }

    /// What a run would do to a sink, as far as is known. `None` where rows are missing.
    pub(crate) fn outlook(&self, sink: &Sink) -> Result<SinkOutlook, Error> {
        let to = self.sinks.sink(&sink.spec);
        if !to.is_staged() {
            return Ok(SinkOutlook::Print);
        }
        let Some(contents) = self.contents(sink, Looks::FromAfar)? else { return Ok(SinkOutlook::Write) };
        let segments = self.segments(sink, &contents);
        let result = to.result(&Dataset { schema: self.schema(sink.stream), segments: &segments });
        Ok(match self.previous(sink)? {
            Some(state) if state.result == result => match to.is_intact(&state) {
                Intact::Yes => SinkOutlook::UpToDate,
                Intact::Missing(_) | Intact::Altered(_) => SinkOutlook::Restore,
            },
            _ => SinkOutlook::Write,
        })
    }

    /// Does the jobs of a transaction, several at a time.
    fn write_jobs(&self, sink: &Sink, transaction: &dyn Transaction) -> Result<(), Error> {
        let jobs = transaction.jobs().len();
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            while let Some(job) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|job| *job < jobs) {
                if let Err(error) = self.write_job(sink, transaction, job) {
                    next.store(jobs, Ordering::Relaxed);
                    lock(&failure).get_or_insert(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(jobs) {
                scope.spawn(work);
            }
            work();
        });
        lock(&failure).take().map_or(Ok(()), Err)
    }

    fn write_job(&self, sink: &Sink, transaction: &dyn Transaction, job: usize) -> Result<(), Error> {
        let mut writer = transaction.writer(job).map_err(failed(sink))?;
        for &segment in &transaction.jobs()[job].segments {
            if writer.is_unread() {
                break;
            }
            self.each_batch(sink.stream, segment, &mut |batch| writer.write(&batch).map_err(failed(sink)))?;
        }
        writer.finish().map_err(failed(sink))
    }

    /// Remembers what is about to appear. It counts once the store is flushed.
    pub(crate) fn announce(&self, sink: &Sink, transaction: &dyn Transaction) -> Result<(), Error> {
        if let Some(state) = transaction.announced().map_err(failed(sink))? {
            self.reading.locator.lookup.store.remember(ANNOUNCED, &self.memo_key(sink), &state)?;
        }
        Ok(())
    }

    /// Makes what was written appear, and remembers it; says what is there then.
    pub(crate) fn finalize(&self, sink: &Sink, transaction: Box<dyn Transaction>) -> Result<Finalized, Error> {
        let finalized = transaction.finalize().map_err(failed(sink))?;
        let (store, key) = (self.reading.locator.lookup.store, self.memo_key(sink));
        store.remember(SINK, &key, &finalized.state)?;
        store.forget(ANNOUNCED, &key);
        Ok(finalized)
    }

    /// Writes a sink that is not staged: its rows are seen at once, in every run.
    pub(crate) fn print(&self, sink: &Sink) -> Result<OutputReport, Error> {
        let Prepared { report, standing } = self.prepare(sink)?;
        if let Standing::No(transaction) = standing {
            transaction.finalize().map_err(failed(sink))?;
        }
        Ok(report)
    }

    /// Gives the first rows of a stream, batch by batch.
    pub(crate) fn first_rows(
        &self,
        stream: StreamId,
        limit: usize,
        take: &mut dyn FnMut(&RecordBatch),
    ) -> Result<(), Error> {
        let mut left = limit;
        for segment in 0..self.reading.locator.segments(stream) {
            if left == 0 {
                break;
            }
            self.each_batch(stream, segment, &mut |batch| {
                let taken = left.min(batch.num_rows());
                left -= taken;
                take(&batch.slice(0, taken));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Gives all columns of a segment, batch by batch.
    pub(crate) fn each_batch(
        &self,
        stream: StreamId,
        segment: usize,
        take: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let schema = self.schema(stream);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        for batch in self.reading.segment(stream, segment, &all)? {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let batch = batch?.project(schema.clone(), &all);
            take(batch.map_err(Error::internal("fitting stored rows to their schema"))?)?;
        }
        self.reading.verify(stream, segment, &all)
    }

    /// What the segments of a sink hold, in order; none while some are missing. Segments below nodes whose contents were noted are not
    /// looked up.
    fn contents(&self, sink: &Sink, looks: Looks) -> Result<Option<Contents>, Error> {
        let Locator { datasets, lookup: Lookups { store, .. }, .. } = self.reading.locator;
        let Some(segments) = datasets.streams.get(&sink.stream) else { return Ok(None) };
        let all: Vec<usize> = (0..self.schema(sink.stream).fields().len()).collect();
        let mut contents = Contents::new();
        for node in (0..segments.width(1)).map(|index| Node { level: 1, index }) {
            let keys = segments.keys(node);
            if let Some(noted) = store.contents(&keys) {
                contents.push(noted);
                continue;
            }
            let below = segments.below(node).map(|segment| self.content_of(sink, segment, &all, looks));
            let Some(below) = below.collect::<Result<Option<Arc<[_]>>, Error>>()? else { return Ok(None) };
            if looks == Looks::Close {
                store.note_contents(&keys, Arc::clone(&below));
            }
            contents.push(below);
        }
        Ok(Some(contents))
    }

    /// What a segment of a sink holds; none while some of it is missing.
    fn content_of(
        &self,
        sink: &Sink,
        segment: usize,
        all: &[usize],
        looks: Looks,
    ) -> Result<Option<SegmentContent>, Error> {
        let Locator { lookup: Lookups { inventory, .. }, .. } = self.reading.locator;
        let found = self.reading.locator.locate(sink.stream, segment, all)?.into_iter().collect();
        let (Some(found), Some(rows)): (Option<Vec<ColumnLocation>>, _) =
            (found, self.reading.locator.rows(sink.stream, segment)?)
        else {
            return Ok(None);
        };
        let mut hasher = KeyHasher::new("flowc sink segment 1");
        hasher.number(rows);
        for home in &found {
            let key = match home {
                ColumnLocation::Stored(stored) => ColumnKey::of_content(&stored.content),
                ColumnLocation::Source { source, segment, column } => {
                    inventory.source(*source).segments[*segment].scan.facts.keys.columns[*column]
                }
            };
            hasher.digest(key.as_bytes());
        }
        let columns = found.iter().enumerate().filter(|_| looks == Looks::Close);
        let columns = columns.map(|(column, home)| self.content(sink, segment, column, home));
        Ok(Some(SegmentContent { rows, digest: hasher.finish(), columns: columns.collect::<Result<_, _>>()? }))
    }

    /// The dataset of a sink as it identifies what is written.
    fn segments(&self, sink: &Sink, contents: &Contents) -> Vec<SinkSegment> {
        let locator = &self.reading.locator;
        let source = locator.lineage.file(sink.stream).map(|source| locator.lookup.inventory.source(source));
        let segment = |(segment, content): (usize, &SegmentContent)| {
            let file = source.and_then(|source| Some(&source.files[source.segments.get(segment)?.file]));
            SinkSegment { name: file.map(|file| file.name().to_owned()), digest: content.digest }
        };
        contents.iter().flat_map(|below| below.iter()).enumerate().map(segment).collect()
    }

    /// What the sink holds: a digest over columns and, segment by segment, their content.
    fn report(&self, sink: &Sink, contents: &Contents) -> OutputReport {
        let mut hasher = KeyHasher::new("flowc output 1");
        for field in self.schema(sink.stream).fields() {
            hasher.field(field);
        }
        let mut all_rows = 0;
        for SegmentContent { rows, columns, digest: _ } in contents.iter().flat_map(|below| below.iter()) {
            all_rows += rows;
            hasher.number(*rows);
            columns.iter().for_each(|content| {
                hasher.digest(content.as_bytes());
            });
        }
        let stream = self.reading.locator.plan.stream(sink.stream).name.clone();
        OutputReport { name: sink.name.clone(), stream, digest: ContentDigest::new(hasher.finish()), rows: all_rows }
    }

    /// The content digest of a column. Source columns that are known by their stored bytes are decoded once for it.
    fn content(
        &self,
        sink: &Sink,
        segment: usize,
        column: usize,
        home: &ColumnLocation,
    ) -> Result<ContentDigest, Error> {
        let locator = &self.reading.locator;
        let (source, from, source_column) = match home {
            ColumnLocation::Stored(stored) => return Ok(stored.content),
            ColumnLocation::Source { source, segment, column } => (*source, *segment, *column),
        };
        let facts = &locator.lookup.inventory.source(source).segments[from].scan.facts;
        if let Some(contents) = &facts.contents {
            return Ok(contents[source_column]);
        }
        let key = facts.keys.columns[source_column];
        if let Some(known) = locator.lookup.store.memo(CONTENT, key.as_bytes())? {
            return Ok(known);
        }
        let field = self.schema(sink.stream).fields()[column].clone();
        let mut digest = ColumnDigest::new(&field);
        for batch in self.reading.segment(sink.stream, segment, &[column])? {
            let batch = batch?;
            let Some(array) = batch.column(column) else { continue };
            let cut = flowc_columns::canonical(array)
                .map_err(Error::columns(&format!("digest the column `{}`", field.name())))?;
            digest.update(&cut);
        }
        self.reading.verify(sink.stream, segment, &[column])?;
        let content = digest.finish();
        locator.lookup.store.remember(CONTENT, key.as_bytes(), &content)?;
        Ok(content)
    }

    /// What an earlier run left in the sink, if it is remembered.
    fn previous(&self, sink: &Sink) -> Result<Option<SinkState>, Error> {
        Ok(self.reading.locator.lookup.store.memo(SINK, &self.memo_key(sink))?)
    }

    fn memo_key(&self, sink: &Sink) -> [u8; 32] {
        KeyHasher::new("sink 2").bytes(&self.sinks.sink(&sink.spec).place()).finish()
    }

    fn schema(&self, stream: StreamId) -> std::sync::Arc<Schema> {
        shown_columns(&self.reading.locator.plan.stream(stream).schema)
    }

    fn incomplete(&self, sink: &Sink) -> Error {
        let message = "rows that it needs are not there, though all stages ran; run `flowc store verify`".to_owned();
        Error::Sink { sink: sink.name.clone(), message, cause: None }
    }
}

fn failed(sink: &Sink) -> impl Fn(SinkError) -> Error {
    |error| Error::sink(&sink.name, error)
}
