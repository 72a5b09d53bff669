//! Writes sinks from segments that are all there, and only where they are not as they should be.
//!
//! May use `inputs` and `flowc-sinks`; knows nothing of running stages.

pub(crate) mod path_conflicts;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_schema::Schema;
use flowc_columns::ColumnDigest;
use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher};
use flowc_planner::plan::{Sink, StreamId};
use flowc_platform::lock;
use flowc_sinks::{Dataset, Finalized, Intact, SinkError, SinkSegment, SinkState, Sinks, Transaction};

use crate::inputs::lookup::ColumnLocation;
use crate::inputs::read::Reading;
use crate::remembered::{CONTENT, SINK};
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

/// A segment that is all there.
struct Held {
    rows: u64,
    /// Where each of its columns is.
    columns: Vec<ColumnLocation>,
}

impl Outputs<'_> {
    /// Writes what differs. Of a sink that is staged nothing is seen before the transaction is finalized.
    pub(crate) fn prepare(&self, sink: &Sink) -> Result<Prepared, Error> {
        let held = self.held(sink)?.ok_or_else(|| self.incomplete(sink))?;
        let segments = self.segments(sink, &held);
        let dataset = Dataset { schema: self.schema(sink.stream), segments: &segments };
        let report = self.report(sink, &held)?;
        let (to, previous) = (self.sinks.sink(&sink.spec), self.previous(sink)?);
        let previous = match previous {
            Some(state) if state.result == to.result(&dataset) && to.is_intact(&state) == Intact::Yes => {
                return Ok(Prepared { report, standing: Standing::Yes(state) });
            }
            other => other,
        };
        let transaction = to.open(&dataset, previous.as_ref()).map_err(failed(sink))?;
        self.write_jobs(sink, &*transaction)?;
        Ok(Prepared { report, standing: Standing::No(transaction) })
    }

    /// What a run would do to a sink, as far as is known. `None` where rows are missing.
    pub(crate) fn outlook(&self, sink: &Sink) -> Result<SinkOutlook, Error> {
        let to = self.sinks.sink(&sink.spec);
        if !to.is_staged() {
            return Ok(SinkOutlook::Print);
        }
        let Some(held) = self.held(sink)? else { return Ok(SinkOutlook::Write) };
        let segments = self.segments(sink, &held);
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

    /// Makes what was written appear, and remembers it; says what is there then.
    pub(crate) fn finalize(&self, sink: &Sink, transaction: Box<dyn Transaction>) -> Result<Finalized, Error> {
        let finalized = transaction.finalize().map_err(failed(sink))?;
        self.reading.locator.lookup.store.remember(SINK, &self.memo_key(sink), &finalized.state)?;
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

    /// Gives all columns of a segment, batch by batch.
    pub(crate) fn each_batch(
        &self,
        stream: StreamId,
        segment: usize,
        take: &mut dyn FnMut(arrow_array::RecordBatch) -> Result<(), Error>,
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

    /// Where the rows of a sink are; none while some are missing.
    fn held(&self, sink: &Sink) -> Result<Option<Vec<Held>>, Error> {
        let locator = &self.reading.locator;
        if !locator.datasets.streams.contains_key(&sink.stream) {
            return Ok(None);
        }
        let all: Vec<usize> = (0..self.schema(sink.stream).fields().len()).collect();
        let Some(rows) = locator.rows_of_all(sink.stream)?.into_iter().collect::<Option<Vec<u64>>>() else {
            return Ok(None);
        };
        let mut held = Vec::with_capacity(rows.len());
        for (segment, rows) in rows.into_iter().enumerate() {
            match locator.locate(sink.stream, segment, &all)?.into_iter().collect() {
                Some(columns) => held.push(Held { rows, columns }),
                None => return Ok(None),
            }
        }
        Ok(Some(held))
    }

    /// The dataset of a sink as it identifies what is written.
    fn segments(&self, sink: &Sink, held: &[Held]) -> Vec<SinkSegment> {
        let locator = &self.reading.locator;
        let source = locator.lineage.file(sink.stream).map(|source| locator.lookup.inventory.source(source));
        let segment = |(segment, held): (usize, &Held)| {
            let mut hasher = KeyHasher::new("flowc sink segment 1");
            hasher.number(held.rows);
            for home in &held.columns {
                let key = match home {
                    ColumnLocation::Stored(stored) => ColumnKey::of_content(&stored.content),
                    ColumnLocation::Source { source, segment, column } => {
                        locator.lookup.inventory.source(*source).segments[*segment].scan.facts.keys.columns[*column]
                    }
                };
                hasher.digest(key.as_bytes());
            }
            let file = source.and_then(|source| Some(&source.files[source.segments.get(segment)?.file]));
            SinkSegment { name: file.map(|file| file.name().to_owned()), digest: hasher.finish() }
        };
        held.iter().enumerate().map(segment).collect()
    }

    /// What the sink holds: a digest over columns and, segment by segment, their content.
    fn report(&self, sink: &Sink, held: &[Held]) -> Result<OutputReport, Error> {
        let mut hasher = KeyHasher::new("flowc output 1");
        for field in self.schema(sink.stream).fields() {
            hasher.field(field);
        }
        for (segment, held) in held.iter().enumerate() {
            hasher.number(held.rows);
            for (column, home) in held.columns.iter().enumerate() {
                hasher.digest(self.content(sink, segment, column, home)?.as_bytes());
            }
        }
        let rows = held.iter().map(|held| held.rows).sum();
        let stream = self.reading.locator.plan.stream(sink.stream).name.clone();
        Ok(OutputReport { name: sink.name.clone(), stream, digest: ContentDigest::new(hasher.finish()), rows })
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
                .map_err(Error::internal(format!("digesting the column `{}`", field.name())))?;
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
        self.reading.locator.plan.stream(stream).schema.clone()
    }

    fn incomplete(&self, sink: &Sink) -> Error {
        let message = "rows that it needs are not there, though all stages ran; run `flowc store verify`".to_owned();
        Error::Sink { sink: sink.name.clone(), message, cause: None }
    }
}

fn failed(sink: &Sink) -> impl Fn(SinkError) -> Error {
    |error| Error::sink(&sink.name, error)
}
