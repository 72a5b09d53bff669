//! Reads source files that are new or were changed: cuts them into segments and finds their keys.
//!
//! A segment that had to be decoded is handed on while it is still in memory, so that the stages below run over it
//! without reading it twice. One whose keys follow from its bytes is handed on, too: stages run over it while what comes behind it is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_columns::ColumnDigest;
use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{BadRows, Format, Plan};
use flowc_platform::lock;
use flowc_sources::{AtHand, Ignored, OpenFile, RawSegment, SourceError};
use flowc_store::{Record, Store};

use crate::intake::clocks::ClockColumn;
use crate::intake::files::OpenFiles;
use crate::intake::inventory::{Inventory, ReadFile, SegmentFacts, SegmentScan};
use crate::intake::notes::FileNotes;
use crate::remembered::SEGMENT;
use crate::{Cancel, Error, Event, Observer};

/// A file of a source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileIndex {
    /// Index of the source.
    pub source: usize,
    /// Index of the file in the source.
    pub file: usize,
}

/// A segment that must be decoded to find its keys.
pub(crate) struct NewSegment {
    /// Its file.
    pub place: FileIndex,
    file: Arc<OpenFile>,
    raw: RawSegment,
    at_hand: Option<AtHand>,
}

/// A segment whose keys have been found.
pub(crate) struct Arrived {
    /// The name of its file.
    pub file: String,
    /// What was found in it.
    pub scan: Arc<SegmentScan>,
    /// Where its rows are.
    pub rows: ArrivedRows,
}

/// The rows of a segment that has just been read.
pub(crate) enum ArrivedRows {
    /// All columns, in cuts of `BATCH_ROWS`.
    Memory(Vec<RecordBatch>),
    /// They are in the open file.
    File(Arc<OpenFile>),
}

/// What a file is cut into.
pub(crate) enum Cut {
    /// It must be decoded.
    New(NewSegment),
    /// Its keys follow from its bytes.
    Known(Arrived),
}

/// What was found in files while they are being read, by any thread.
#[derive(Default)]
pub(crate) struct Findings(Mutex<BTreeMap<FileIndex, ReadFile>>);

impl Findings {
    /// Takes in what was found in a segment.
    pub(crate) fn add(&self, place: FileIndex, scan: Arc<SegmentScan>) {
        self.lock().entry(place).or_default().scans.push(scan);
    }

    fn note(&self, place: FileIndex, notes: FileNotes) {
        self.lock().entry(place).or_default().notes = notes;
    }

    /// All of a source whose files have been read: each file by source and file, its segments in order.
    pub(crate) fn take(&self, source: usize) -> BTreeMap<(usize, usize), ReadFile> {
        let mut found = self.lock();
        let mut of_source = found.split_off(&FileIndex { source, file: 0 });
        found.append(&mut of_source.split_off(&FileIndex { source: source + 1, file: 0 }));
        drop(found);
        of_source.values_mut().for_each(|file| file.scans.sort_by_key(|scan| scan.raw.ordinal));
        of_source.into_iter().map(|(place, file)| ((place.source, place.file), file)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FileIndex, ReadFile>> {
        lock(&self.0)
    }
}

/// Scans files of one plan's sources.
#[derive(Clone, Copy)]
pub(crate) struct Scanner<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The store.
    pub store: &'a Store,
    /// The files, as they were listed.
    pub inventory: &'a Inventory,
    /// Opens files.
    pub files: &'a OpenFiles,
    /// Hears of files.
    pub observer: &'a dyn Observer,
    /// Stops the run.
    pub cancel: &'a Cancel,
    /// The columns whose times are wanted.
    pub clocks: &'a [ClockColumn],
    /// Takes what is found.
    pub findings: &'a Findings,
}

impl Scanner<'_> {
    /// What is done for a file, in words.
    pub(crate) fn described(&self, place: FileIndex) -> String {
        let file = self.inventory.source(place.source).files[place.file].name();
        format!("reading {file} of the source `{}`", self.plan.sources[place.source].name)
    }

    /// Cuts a file into segments. Those are handed on whose facts were not remembered.
    ///
    /// # Errors
    /// If the file can't be read, or is not what it was when it was listed.
    pub(crate) fn read(
        &self,
        place: FileIndex,
        hand_on: &mut dyn FnMut(Cut) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let of = &self.plan.sources[place.source];
        let name = &of.name;
        let _span = tracing::info_span!("scan", source = name, file = place.file).entered();
        let entry = &self.inventory.source(place.source).files[place.file];
        let file = Arc::new(self.files.open(self.plan, self.inventory, place.source, place.file)?);
        let tell = || {
            let (source, bytes) = (name.clone(), file.size());
            self.observer.observe(Event::FileRead { source, file: entry.name().to_owned(), bytes });
        };
        if !file.is_arriving() {
            tell();
        }
        let failed = |error: SourceError| self.files.source_error(self.plan, self.inventory, place.source, error);
        let notes = FileNotes {
            unknown_columns: file.unknown_columns(),
            unread_folders: file.unread_folders().to_vec(),
            doubt: self.files.doubt(place.source, &entry.part),
        };
        self.findings.note(place, notes);
        for segment in file.segments() {
            self.check_cancel()?;
            let (raw, at_hand) = segment.map_err(failed)?;
            if let Some(facts) = self.facts_of_chunks(&raw, place.source) {
                let scan = Arc::new(SegmentScan { raw, facts });
                self.findings.add(place, scan.clone());
                let (file, rows) = (file.name().to_owned(), ArrivedRows::File(file.clone()));
                hand_on(Cut::Known(Arrived { file, scan, rows }))?;
                continue;
            }
            match self.remembered_facts(&raw, place, &file)? {
                Some(facts) => self.findings.add(place, Arc::new(SegmentScan { raw, facts })),
                None => hand_on(Cut::New(NewSegment { place, file: file.clone(), raw, at_hand }))?,
            }
        }
        if file.is_arriving() {
            tell();
        }
        file.verify_unchanged().map_err(failed)?;
        if file.is_spooled() || file.is_fetched() {
            self.files.keep(place.source, place.file, file);
        }
        Ok(())
    }

    fn check_cancel(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// The facts of a segment whose bytes were met before.
    fn remembered_facts(
        &self,
        raw: &RawSegment,
        place: FileIndex,
        file: &OpenFile,
    ) -> Result<Option<SegmentFacts>, Error> {
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

    /// Decodes a segment and finds its keys.
    ///
    /// # Errors
    /// If rows can't be read, and are not to be left out.
    pub(crate) fn decode(&self, segment: &NewSegment) -> Result<Arrived, Error> {
        let NewSegment { place, file, raw, at_hand } = segment;
        self.check_cancel()?;
        let of = &self.plan.sources[place.source];
        let fields = self.plan.stream(of.stream).schema.fields();
        let all: Vec<usize> = (0..fields.len()).collect();
        let failed = |error: SourceError| self.files.source_error(self.plan, self.inventory, place.source, error);
        let mut reader = file.read(raw, at_hand.clone(), &all).map_err(failed)?;
        let batches = reader.by_ref().collect::<Result<Vec<RecordBatch>, _>>().map_err(failed)?;
        let (bad_rows, ignored) = (reader.rejected(), reader.take_ignored());
        let rejects = match of.rejects {
            Some(_) => Some(self.keep_rejects(of.spec.rejects_schema(), &reader.rejects().map_err(failed)?)?),
            None => None,
        };
        let contents = digests(fields, &batches)?;
        let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let keys = SegmentKeys {
            rows: RowsKey::of_count(rows),
            columns: contents.iter().map(ColumnKey::of_content).collect(),
        };
        for clock in self.clocks.iter().filter(|clock| clock.column.source == place.source) {
            clock.note(&keys, &batches, self.store)?;
        }
        let facts = SegmentFacts { rows, keys, contents: Some(contents), bad_rows, rejects, ignored };
        self.store.remember(SEGMENT, &self.facts_key(raw, *place, file), &facts)?;
        let scan = Arc::new(SegmentScan { raw: raw.clone(), facts });
        self.findings.add(*place, scan.clone());
        Ok(Arrived { file: file.name().to_owned(), scan, rows: ArrivedRows::Memory(batches) })
    }

    /// Rows that did not fit go into the store at once: they are nowhere else.
    fn keep_rejects(&self, schema: SchemaRef, batches: &[RecordBatch]) -> Result<SegmentKeys, Error> {
        let mut writer = self.store.segment_writer(schema);
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
                .map_err(Error::columns(&format!("digest the column `{}`", field.name())))?;
            digest.update(&cut);
        }
        Ok(digest.finish())
    };
    fields.iter().enumerate().map(digest).collect()
}
