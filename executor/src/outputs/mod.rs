//! Writes sinks from segments that are all there, and only where they are not as they should be.
//!
//! May use `inputs` and `flowc-sinks`; knows nothing of running stages.

pub(crate) mod path_conflicts;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_schema::Schema;
use flowc_columns::ColumnDigest;
use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher};
use flowc_planner::plan::{Sink, StreamId, Target};
use flowc_sinks::{Finished, Intact, Preparation, SinkSegment, SinkState, Stagings, StdoutWriter};

use crate::inputs::lookup::ColumnLocation;
use crate::inputs::read::Reading;
use crate::remembered::{CONTENT, SINK};
use crate::{Cancel, Error, OutputReport, SinkOutlook};

/// Writes the sinks of one plan.
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    /// Where rows come from.
    pub reading: Reading<'a>,
    /// The folder that relative paths start from.
    pub base: &'a Path,
    /// Where files are written first.
    pub stagings: &'a Stagings,
    /// Threads for the files of one sink.
    pub threads: usize,
    /// Stops the run.
    pub cancel: &'a Cancel,
}

/// A sink that has been written beside its place, or stands already.
pub(crate) struct Prepared {
    /// What the sink holds.
    pub report: OutputReport,
    /// Whether anything is left to do.
    pub standing: Standing,
}

/// Whether a sink stands as it should.
pub(crate) enum Standing {
    /// As an earlier commit left it.
    Yes(SinkState),
    /// Not before this is committed.
    No(Box<Preparation>, Vec<Finished>),
}

/// A segment that is all there.
struct Held {
    rows: u64,
    /// Where each of its columns is.
    columns: Vec<ColumnLocation>,
}

impl Outputs<'_> {
    /// Writes what differs. Nothing is to be seen of it before the commit.
    pub(crate) fn prepare(&self, sink: &Sink) -> Result<Prepared, Error> {
        let failed = |error: flowc_sinks::SinkError| Error::sink(&sink.name, error);
        let schema = self.schema(sink.stream);
        let held = self.held(sink)?.ok_or_else(|| self.incomplete(sink))?;
        let segments = self.segments(sink, &held);
        let report = self.report(sink, &held)?;
        let previous = self.previous(sink)?;
        let previous = match previous {
            Some(state) if self.stands(sink, &segments, &state) => {
                return Ok(Prepared { report, standing: Standing::Yes(state) });
            }
            other => other,
        };
        let preparation = Preparation::new(&sink.spec, schema, self.base, &segments, previous.as_ref(), self.stagings)
            .map_err(failed)?;
        let written = self.write_files(sink, &preparation)?;
        Ok(Prepared { report, standing: Standing::No(Box::new(preparation), written) })
    }

    /// What a run would do to a sink, as far as is known. `None` where rows are missing.
    pub(crate) fn outlook(&self, sink: &Sink) -> Result<SinkOutlook, Error> {
        if sink.spec.target == Target::Stdout {
            return Ok(SinkOutlook::Print);
        }
        let Some(held) = self.held(sink)? else { return Ok(SinkOutlook::Write) };
        let segments = self.segments(sink, &held);
        let result = flowc_sinks::result_digest(&sink.spec, &self.schema(sink.stream), &segments);
        Ok(match self.previous(sink)? {
            Some(state) if state.result == result => match flowc_sinks::is_intact(&sink.spec, self.base, &state) {
                Intact::Yes => SinkOutlook::UpToDate,
                Intact::Missing(_) | Intact::Altered(_) => SinkOutlook::Restore,
            },
            _ => SinkOutlook::Write,
        })
    }

    fn stands(&self, sink: &Sink, segments: &[SinkSegment], state: &SinkState) -> bool {
        state.result == flowc_sinks::result_digest(&sink.spec, &self.schema(sink.stream), segments)
            && flowc_sinks::is_intact(&sink.spec, self.base, state) == Intact::Yes
    }

    /// Writes the files of a preparation, several at a time.
    fn write_files(&self, sink: &Sink, preparation: &Preparation) -> Result<Vec<Finished>, Error> {
        let jobs = preparation.jobs().len();
        let (next, written, failure) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(None));
        let work = || {
            while let Some(job) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|job| *job < jobs) {
                match self.write_file(sink, preparation, job) {
                    Ok(finished) => lock(&written).push((job, finished)),
                    Err(error) => {
                        next.store(jobs, Ordering::Relaxed);
                        lock(&failure).get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.min(jobs) {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = lock(&failure).take() {
            return Err(error);
        }
        let mut written = std::mem::take(&mut *lock(&written));
        written.sort_by_key(|(job, _)| *job);
        Ok(written.into_iter().map(|(_, finished)| finished).collect())
    }

    fn write_file(&self, sink: &Sink, preparation: &Preparation, job: usize) -> Result<Finished, Error> {
        let failed = |error: flowc_sinks::SinkError| Error::sink(&sink.name, error);
        let mut writer = preparation.writer(job).map_err(failed)?;
        for &segment in &preparation.jobs()[job].segments {
            self.each_batch(sink.stream, segment, &mut |batch| writer.write(&batch).map_err(failed))?;
        }
        writer.finish().map_err(failed)
    }

    /// Makes what was prepared appear, and remembers it; says what is there then.
    pub(crate) fn commit(
        &self,
        sink: &Sink,
        preparation: Preparation,
        written: Vec<Finished>,
    ) -> Result<SinkState, Error> {
        let state = preparation.commit(written).map_err(|error| Error::sink(&sink.name, error))?;
        self.reading.locator.lookup.store.remember(SINK, &self.memo_key(sink), &state)?;
        Ok(state)
    }

    /// Prints the rows of a sink to standard output.
    pub(crate) fn print(&self, sink: &Sink) -> Result<OutputReport, Error> {
        let failed = |error: flowc_sinks::SinkError| Error::sink(&sink.name, error);
        let stdout = std::io::stdout();
        let mut writer = StdoutWriter::new(&sink.spec, self.schema(sink.stream), stdout).map_err(failed)?;
        for segment in 0..self.reading.locator.segments(sink.stream) {
            if writer.is_unread() {
                break;
            }
            self.each_batch(sink.stream, segment, &mut |batch| writer.write(&batch).map_err(failed))?;
        }
        writer.finish().map_err(failed)?;
        self.report(sink, &self.held(sink)?.ok_or_else(|| self.incomplete(sink))?)
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

    /// What an earlier commit of the sink left behind.
    fn previous(&self, sink: &Sink) -> Result<Option<SinkState>, Error> {
        Ok(self.reading.locator.lookup.store.memo(SINK, &self.memo_key(sink))?)
    }

    fn memo_key(&self, sink: &Sink) -> [u8; 32] {
        let target = match &sink.spec.target {
            Target::File(path) | Target::Directory(path) => self.base.join(path),
            Target::Stdout => self.base.to_path_buf(),
        };
        KeyHasher::new("sink 2").bytes(target.as_os_str().as_encoded_bytes()).finish()
    }

    fn schema(&self, stream: StreamId) -> std::sync::Arc<Schema> {
        self.reading.locator.plan.stream(stream).schema.clone()
    }

    fn incomplete(&self, sink: &Sink) -> Error {
        let message = "rows that it needs are not there, though all stages ran; run `flowc store verify`".to_owned();
        Error::Sink { sink: sink.name.clone(), message, cause: None }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
