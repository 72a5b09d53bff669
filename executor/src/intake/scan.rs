//! Reads source files that are new or were changed: cuts them into segments and finds their keys.
//!
//! A segment that had to be decoded is handed on while it is still in memory, so that the stages below run over it
//! without reading it twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use flowc_columns::ColumnDigest;
use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{BadRows, Format, Plan};
use flowc_sources::{Ignored, OpenFile, RawSegment, SourceError};
use flowc_store::{Record, Store};

use crate::intake::files::OpenFiles;
use crate::intake::inventory::{Inventory, ReadFile, SegmentFacts, SegmentScan, Unreadable};
use crate::intake::notes::FileNotes;
use crate::remembered::SEGMENT;
use crate::schedule::spawn;
use crate::{Cancel, Error, Event, Observer};

/// A segment that was just decoded.
pub(crate) struct Decoded<'a> {
    /// Index of the source.
    pub source: usize,
    /// The name of its file.
    pub file: &'a str,
    /// What was found in it.
    pub scan: &'a SegmentScan,
    /// All columns, in cuts of `BATCH_ROWS`.
    pub batches: &'a [RecordBatch],
}

/// Takes decoded segments, on any thread.
pub(crate) type OnDecoded<'a> = dyn Fn(Decoded<'_>) -> Result<(), Error> + Sync + 'a;

/// Scans files of one plan's sources.
pub(crate) struct Scanner<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The store.
    pub store: &'a Store,
    /// Opens files.
    pub files: &'a OpenFiles,
    /// Threads.
    pub jobs: usize,
    /// Bytes of stack that a thread needs.
    pub stack: usize,
    /// Hears of files.
    pub observer: &'a dyn Observer,
    /// Stops the run.
    pub cancel: &'a Cancel,
    /// Takes decoded segments.
    pub on_decoded: &'a OnDecoded<'a>,
    /// Whether a source that can't be read leaves the others alone.
    pub keep_going: bool,
}

/// A segment to be decoded, and whose it is.
struct Job {
    place: FileIndex,
    file: Arc<OpenFile>,
    raw: RawSegment,
    bytes: Option<Bytes>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FileIndex {
    source: usize,
    file: usize,
}

/// What threads find, in any order.
#[derive(Default)]
struct Findings {
    scans: Vec<(FileIndex, SegmentScan)>,
    /// What was noticed of files when they were opened.
    notes: BTreeMap<FileIndex, FileNotes>,
}

type Found = Mutex<Findings>;

/// What a scan found.
pub(crate) struct Scanned {
    /// Each file that was read, by source and file.
    pub files: BTreeMap<(usize, usize), ReadFile>,
    /// The sources that could not be read.
    pub unreadable: Unreadable,
}

/// Where threads put what they find.
#[derive(Clone, Copy)]
struct Results<'a> {
    found: &'a Found,
    unreadable: &'a Mutex<Unreadable>,
}

impl Scanner<'_> {
    /// Scans these files of the inventory, but for sources that can't be read.
    ///
    /// # Errors
    /// Anything that is not a source's fault; without `keep_going` the first unreadable source, too.
    pub(crate) fn scan(&self, inventory: &Inventory, unread: &[(usize, usize)]) -> Result<Scanned, Error> {
        let queue: Mutex<VecDeque<FileIndex>> =
            Mutex::new(unread.iter().map(|&(source, file)| FileIndex { source, file }).collect());
        let (found, unreadable, failure) = (Found::default(), Mutex::default(), Mutex::new(None));
        let (sender, receiver) = bounded(self.jobs);
        std::thread::scope(|scope| {
            for thread in 0..self.jobs.min(unread.len().max(2)) {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                let (queue, found, unreadable, failure) = (&queue, &found, &unreadable, &failure);
                let started = spawn(scope, self.stack, move || {
                    let results = Results { found, unreadable };
                    let work = || self.work(inventory, queue, sender, &receiver, results);
                    if let Err(error) = Error::catch(|| "reading sources".to_owned(), work) {
                        // The rest of the work is dropped: whoever fails empties the queue.
                        lock(queue).clear();
                        receiver.try_iter().for_each(drop);
                        lock(failure).get_or_insert(error);
                    }
                });
                // With fewer threads the work takes longer, with none it would not be done.
                if let (0, Err(error)) = (thread, started) {
                    lock(failure).get_or_insert(Error::system("start a thread")(error));
                    break;
                }
            }
            drop(sender);
        });
        if let Some(error) = lock(&failure).take() {
            return Err(error);
        }
        let Findings { scans: mut found, mut notes } = std::mem::take(&mut *lock(&found));
        found.sort_by_key(|(place, scan)| (*place, scan.raw.ordinal));
        let unreadable = unreadable.into_inner().unwrap_or_else(PoisonError::into_inner);
        let read = unread.iter().filter(|(source, _)| !unreadable.contains_key(source));
        let mut of_file = |&(source, file): &(usize, usize)| ReadFile {
            scans: Vec::new(),
            notes: notes.remove(&FileIndex { source, file }).unwrap_or_default(),
        };
        let mut files: BTreeMap<(usize, usize), ReadFile> = read.map(|file| (*file, of_file(file))).collect();
        for (place, scan) in found {
            if let Some(file) = files.get_mut(&(place.source, place.file)) {
                file.scans.push(Arc::new(scan));
            }
        }
        Ok(Scanned { files, unreadable })
    }

    /// One thread: takes files while there are any, then helps with the segments of others' files.
    fn work(
        &self,
        inventory: &Inventory,
        queue: &Mutex<VecDeque<FileIndex>>,
        sender: Sender<Job>,
        receiver: &Receiver<Job>,
        results: Results<'_>,
    ) -> Result<(), Error> {
        while let Some(place) = pop(queue) {
            let scan = || self.scan_file(inventory, place, &sender, results.found);
            self.settle(place, Error::catch(|| self.described(inventory, place), scan), results)?;
        }
        drop(sender);
        for job in receiver {
            let place = job.place;
            let decode = || self.decode(inventory, job, results.found);
            self.settle(place, Error::catch(|| self.described(inventory, place), decode), results)?;
        }
        Ok(())
    }

    /// What is done for a file, in words.
    fn described(&self, inventory: &Inventory, place: FileIndex) -> String {
        let file = inventory.source(place.source).files[place.file].name();
        format!("reading {file} of the source `{}`", self.plan.sources[place.source].name)
    }

    /// What is a source's own fault need not stop the others.
    fn settle(&self, place: FileIndex, result: Result<(), Error>, results: Results<'_>) -> Result<(), Error> {
        match result {
            Err(error @ (Error::Source { .. } | Error::File { .. })) if self.keep_going => {
                lock(results.unreadable).entry(place.source).or_insert(error);
                Ok(())
            }
            other => other,
        }
    }

    fn scan_file(
        &self,
        inventory: &Inventory,
        place: FileIndex,
        sender: &Sender<Job>,
        found: &Found,
    ) -> Result<(), Error> {
        let of = &self.plan.sources[place.source];
        let name = &of.name;
        let _span = tracing::info_span!("scan", source = name, file = place.file).entered();
        let entry = &inventory.source(place.source).files[place.file];
        let file = Arc::new(self.files.open_new(self.plan, inventory, place.source, place.file)?);
        if entry.part.stamp.is_some_and(|stamp| stamp != file.stamp()) {
            let message = format!("{} changed during the run. Run again", entry.name());
            return Err(Error::Source { source_name: name.clone(), message, cause: None });
        }
        let bytes = file.stamp().size;
        self.observer.observe(Event::FileRead { source: name.clone(), file: entry.name().to_owned(), bytes });
        let failed = |error: SourceError| self.files.source_error(self.plan, inventory, place.source, error);
        let notes = FileNotes {
            unknown_columns: file.unknown_columns(),
            unread_folders: file.unread_folders().to_vec(),
            doubt: self.files.doubt(place.source, &entry.part),
        };
        lock(found).notes.insert(place, notes);
        for segment in file.segments() {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let (raw, bytes) = segment.map_err(failed)?;
            if let Some(facts) = self.known_facts(&raw, place, &file)? {
                lock(found).scans.push((place, SegmentScan { raw, facts }));
                continue;
            }
            let job = Job { place, file: file.clone(), raw, bytes };
            if let Err(job) = sender.try_send(job) {
                self.decode(inventory, job.into_inner(), found)?;
            }
        }
        file.verify_unchanged().map_err(failed)?;
        if file.is_spooled() {
            self.files.keep(place.source, place.file, file);
        }
        Ok(())
    }

    /// The facts of a segment whose bytes were met before, or that can be told from its bytes alone.
    fn known_facts(&self, raw: &RawSegment, place: FileIndex, file: &OpenFile) -> Result<Option<SegmentFacts>, Error> {
        if let Some(facts) = self.facts_of_chunks(raw, place.source) {
            return Ok(Some(facts));
        }
        let facts: Option<SegmentFacts> = self.store.memo(SEGMENT, &self.facts_key(raw, place, file))?;
        let Some(facts) = facts else { return Ok(None) };
        let rejects = facts.rejects.iter().flat_map(|keys| keys.columns.iter().copied()).collect::<Vec<_>>();
        let lost = self.store.find_columns(&rejects)?.iter().any(Option::is_none);
        Ok((!lost).then_some(facts))
    }

    /// Parquet: the digests of the stored chunks are enough.
    fn facts_of_chunks(&self, raw: &RawSegment, source: usize) -> Option<SegmentFacts> {
        let (rows, chunks) = (raw.rows?, raw.columns.as_ref()?);
        let of = &self.plan.sources[source];
        let reader = flowc_sources::reader_version(&of.spec.format);
        let fields = self.plan.stream(of.stream).schema.fields();
        let columns = chunks.iter().zip(fields).map(|(chunk, field)| ColumnKey::of_raw(chunk, reader, field));
        let keys = SegmentKeys { rows: RowsKey::of_count(rows), columns: columns.collect() };
        (of.rejects.is_none()).then_some(SegmentFacts {
            rows,
            keys,
            contents: None,
            bad_rows: 0,
            rejects: None,
            ignored: Ignored::default(),
        })
    }

    fn facts_key(&self, raw: &RawSegment, place: FileIndex, file: &OpenFile) -> [u8; 32] {
        let of = &self.plan.sources[place.source];
        let spec = flowc_sources::spec_digest(&of.spec, &self.plan.stream(of.stream).schema);
        let mut hasher = KeyHasher::new("segment facts 1");
        hasher.digest(raw.raw.as_bytes()).digest(&spec);
        if let Some(folders) = file.folder_digest() {
            hasher.digest(folders.as_bytes());
        }
        // These rows hold their file's name.
        if of.spec.format == Format::Bytes || of.spec.bad_rows == BadRows::Stream {
            hasher.bytes(file.name().as_bytes()).number(raw.offset);
        }
        hasher.finish()
    }

    fn decode(&self, inventory: &Inventory, job: Job, found: &Found) -> Result<(), Error> {
        let Job { place, file, raw, bytes } = job;
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let of = &self.plan.sources[place.source];
        let fields = self.plan.stream(of.stream).schema.fields();
        let all: Vec<usize> = (0..fields.len()).collect();
        let failed = |error: SourceError| self.files.source_error(self.plan, inventory, place.source, error);
        let mut reader = file.read(&raw, bytes, &all).map_err(failed)?;
        let batches = reader.by_ref().collect::<Result<Vec<RecordBatch>, _>>().map_err(failed)?;
        let (bad_rows, ignored) = (reader.rejected(), reader.take_ignored());
        let rejects = match of.rejects {
            Some(_) => Some(self.keep_rejects(&reader.rejects().map_err(failed)?)?),
            None => None,
        };
        let contents = digests(fields, &batches)?;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let keys = SegmentKeys {
            rows: RowsKey::of_count(rows),
            columns: contents.iter().map(ColumnKey::of_content).collect(),
        };
        let facts = SegmentFacts { rows, keys, contents: Some(contents), bad_rows, rejects, ignored };
        self.store.remember(SEGMENT, &self.facts_key(&raw, place, &file), &facts)?;
        let scan = SegmentScan { raw, facts };
        (self.on_decoded)(Decoded { source: place.source, file: file.name(), scan: &scan, batches: &batches })?;
        lock(found).scans.push((place, scan));
        Ok(())
    }

    /// Rows that did not fit go into the store at once: they are nowhere else.
    fn keep_rejects(&self, batches: &[RecordBatch]) -> Result<SegmentKeys, Error> {
        let mut writer = self.store.segment_writer(flowc_planner::rejects_schema());
        for batch in batches {
            writer.write(batch)?;
        }
        let staged = writer.finish()?;
        let rows = RowsKey::of_count(batches.iter().map(|batch| batch.num_rows() as u64).sum());
        let columns: Vec<_> =
            staged.columns.into_iter().map(|column| (ColumnKey::of_content(&column.content), column)).collect();
        let keys = SegmentKeys { rows, columns: columns.iter().map(|(key, _)| *key).collect() };
        self.store.record(Record { rows: vec![(rows, staged.rows)], columns });
        Ok(keys)
    }
}

/// The content digest of each column of a segment in cuts of `BATCH_ROWS`.
fn digests(fields: &arrow_schema::Fields, batches: &[RecordBatch]) -> Result<Vec<ContentDigest>, Error> {
    let digest = |(index, field): (usize, &Arc<arrow_schema::Field>)| {
        let mut digest = ColumnDigest::new(field);
        for batch in batches {
            let cut = flowc_columns::canonical(batch.column(index))
                .map_err(Error::internal(format!("digesting the column `{}`", field.name())))?;
            digest.update(&cut);
        }
        Ok(digest.finish())
    };
    fields.iter().enumerate().map(digest).collect()
}

fn pop(queue: &Mutex<VecDeque<FileIndex>>) -> Option<FileIndex> {
    lock(queue).pop_front()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
