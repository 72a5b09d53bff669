//! The sources as they are: files, and the segments known of them. Nothing is read for files whose stamp says
//! "unchanged".

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use arrow_schema::Fields;
use flowc_demand::Segments;
use flowc_planner::key::{ColumnKey, ContentDigest, KeyHasher, RowsKey, SegmentKeys};
use flowc_planner::plan::{Plan, Producer};
use flowc_platform::FileStamp;
use flowc_sources::{Ignored, Polled, RawSegment, Source, SourceError, SourcePart};
use flowc_store::Store;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::intake::notes::FileNotes;
use crate::plan::Planned;
use crate::remembered::FILES;

/// Sources that could not be read, and why: the first reason of each.
pub(crate) type Unreadable = BTreeMap<usize, Error>;

/// What a scan found in a file.
#[derive(Default)]
pub(crate) struct ReadFile {
    /// Its segments, in order.
    pub scans: Vec<Arc<SegmentScan>>,
    /// What was noticed of it.
    pub notes: FileNotes,
}

/// Sources of a plan, all of them or those at hand.
#[derive(Clone, Default)]
pub(crate) struct Inventory {
    /// By index of the source in the plan.
    pub sources: BTreeMap<usize, Arc<SourceInventory>>,
}

/// One source.
#[derive(Clone, Default)]
pub(crate) struct SourceInventory {
    /// Its files, in dataset order.
    pub files: Vec<Arc<FileEntry>>,
    /// Folders that were listed to find them, as they were before; none where their stamps can't be trusted.
    pub directories: Option<Vec<(PathBuf, FileStamp)>>,
    /// The segments of all files, in dataset order. Complete when no file is unread.
    pub segments: Vec<SourceSegment>,
    /// The names of the segments' files, once they were asked for.
    pub names: OnceLock<Segments>,
}

/// A file of a source.
#[derive(Clone)]
pub(crate) struct FileEntry {
    /// Its name, and what it was when the source was polled.
    pub part: SourcePart,
    /// Its segments, unless it is new or was changed.
    pub scans: Option<Vec<Arc<SegmentScan>>>,
    /// What was noticed of it when it was read.
    pub notes: FileNotes,
}

impl FileEntry {
    /// The file's name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.part.name
    }
}

/// A segment of a source.
#[derive(Clone)]
pub(crate) struct SourceSegment {
    /// Index of its file.
    pub file: usize,
    /// What was found in it.
    pub scan: Arc<SegmentScan>,
    /// Its rows.
    pub rows: u64,
}

/// What was found in a segment of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SegmentScan {
    /// Where it lies.
    pub raw: RawSegment,
    /// What its rows are.
    pub facts: SegmentFacts,
}

/// What is known of a segment's rows; remembered by its raw bytes and the source's specification.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SegmentFacts {
    /// Good rows.
    pub rows: u64,
    /// Keys of the good rows.
    pub keys: SegmentKeys,
    /// Content digests of the columns, where the rows were decoded to find the keys.
    pub contents: Option<Vec<ContentDigest>>,
    /// Rows that did not fit.
    pub bad_rows: u64,
    /// Keys of those, where they go to a stream.
    pub rejects: Option<SegmentKeys>,
    /// What the good rows have and no column takes.
    pub ignored: Ignored,
}

/// What is remembered of a source.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct SourceMemo<'a> {
    /// While these folders have these stamps, the files are just those below.
    directories: Option<Cow<'a, [(PathBuf, FileStamp)]>>,
    /// In dataset order.
    files: Vec<FileMemo<'a>>,
}

/// A file's segments, while its stamp holds; none where the stamp could not be trusted.
#[derive(Serialize, Deserialize)]
struct FileMemo<'a> {
    name: Cow<'a, str>,
    stamp: FileStamp,
    scans: Option<Cow<'a, [Arc<SegmentScan>]>>,
    notes: FileNotes,
}

impl Inventory {
    /// Lists the files of all sources, and finds what is remembered of them.
    pub(crate) fn survey(planned: &Planned, store: &Store) -> Result<Self, Error> {
        let (inventory, mut unreadable) = Self::survey_readable(planned, store);
        unreadable.pop_first().map_or(Ok(inventory), |(_, error)| Err(error))
    }

    /// As [`Inventory::survey`]; sources whose files can't be listed are not in it.
    pub(crate) fn survey_readable(planned: &Planned, store: &Store) -> (Self, Unreadable) {
        let (mut inventory, mut unreadable) = (Self::default(), Unreadable::new());
        for source in 0..planned.plan.sources.len() {
            match SourceInventory::survey(planned, source, store) {
                Ok(found) => drop(inventory.sources.insert(source, Arc::new(found))),
                Err(error) => drop(unreadable.insert(source, error)),
            }
        }
        (inventory, unreadable)
    }

    /// The segments' keys of a source's stream or of its rejects; none while files are unread.
    pub(crate) fn keys(&self, producer: Producer) -> Option<Vec<SegmentKeys>> {
        let of = |source: usize| self.sources.get(&source).filter(|source| source.unread().next().is_none());
        match producer {
            Producer::Source { source } => {
                Some(of(source)?.segments.iter().map(|segment| segment.scan.facts.keys.clone()).collect())
            }
            Producer::Rejects { source } => {
                of(source)?.segments.iter().map(|segment| segment.scan.facts.rejects.clone()).collect()
            }
            Producer::Stage { .. } => None,
        }
    }

    /// Files that must be read before their segments are known: source and file.
    pub(crate) fn unread(&self) -> Vec<(usize, usize)> {
        self.sources.iter().flat_map(|(s, source)| source.unread().map(move |file| (*s, file))).collect()
    }

    /// Takes in what was found in files that have been read, by source and file. Gives the sources.
    pub(crate) fn complete(&mut self, files: BTreeMap<(usize, usize), ReadFile>) -> BTreeSet<usize> {
        let sources: BTreeSet<usize> = files.keys().map(|(source, _)| *source).collect();
        for ((source, file), read) in files {
            let entry = Arc::make_mut(&mut self.source_mut(source).files[file]);
            (entry.scans, entry.notes) = (Some(read.scans), read.notes);
        }
        for &source in &sources {
            self.source_mut(source).collect();
        }
        sources
    }

    /// Tells a source that what was found of it is in the store and in all sinks.
    pub(crate) fn commit(&self, index: usize, source: &dyn Source) -> Result<(), SourceError> {
        source.commit(&mut self.source(index).files.iter().map(|entry| &entry.part))
    }

    /// The names of what the store keeps of the parts of all sources beside results.
    pub(crate) fn kept(&self, planned: &Planned) -> Vec<String> {
        let of = |(index, source): (&usize, &Arc<SourceInventory>)| {
            let asked = planned.source(*index);
            source.files.iter().filter_map(|entry| asked.kept(&entry.part)).collect::<Vec<_>>()
        };
        self.sources.iter().flat_map(of).collect()
    }

    /// A source at hand.
    pub(crate) fn source(&self, source: usize) -> &SourceInventory {
        &self.sources[&source]
    }

    fn source_mut(&mut self, source: usize) -> &mut SourceInventory {
        Arc::make_mut(self.sources.entry(source).or_default())
    }
}

impl SourceInventory {
    fn survey(planned: &Planned, source: usize, store: &Store) -> Result<Self, Error> {
        let name = &planned.plan.sources[source].name;
        let unseen = |error: SourceError| planned.source_error(name, &error.to_string(), error);
        Self::survey_of_plan(&planned.plan, source, &planned.base, store, unseen)
    }

    /// Lists the files of a source of a plan, and finds what is remembered of them.
    pub(crate) fn survey_of_plan(
        plan: &Plan,
        source: usize,
        base: &Path,
        store: &Store,
        unseen: impl FnOnce(SourceError) -> Error,
    ) -> Result<Self, Error> {
        let of = &plan.sources[source];
        let memo: SourceMemo<'_> = store.memo(FILES, &memo_key(plan, source, base))?.unwrap_or_default();
        let (known, found) = memo.split();
        let polled = flowc_sources::source(&of.spec, base).poll(&known).map_err(unseen)?;
        let files = entries(known.parts, found, polled.parts);
        let mut inventory = Self { files, directories: polled.folders, ..Self::default() };
        if of.rejects.is_some() {
            inventory.forget_lost_rejects(store)?;
        }
        inventory.collect();
        Ok(inventory)
    }

    /// Rejected rows are kept in the store alone: where they are gone, the file is read again.
    fn forget_lost_rejects(&mut self, store: &Store) -> Result<(), Error> {
        for entry in &mut self.files {
            let keys: Vec<ColumnKey> = entry
                .scans
                .iter()
                .flatten()
                .flat_map(|scan| scan.facts.rejects.iter().flat_map(|keys| keys.columns.iter().copied()))
                .collect();
            if store.find_columns(&keys)?.iter().any(Option::is_none) {
                Arc::make_mut(entry).scans = None;
            }
        }
        Ok(())
    }

    /// The files and folders whose stamps tell that the source holds what it held; none where files can't tell.
    pub(crate) fn watched(&self) -> Option<Vec<(PathBuf, FileStamp)>> {
        let folders = self.directories.as_ref()?.iter().cloned();
        let changing = self.files.iter().filter(|entry| !entry.part.stamp.is_some_and(|stamp| stamp.is_immutable()));
        let files = changing.map(|entry| Some((entry.part.path.clone()?, entry.part.stamp?)));
        folders.map(Some).chain(files).collect()
    }

    /// A tree that differs where the names of the segments' files do.
    pub(crate) fn names(&self) -> &Segments {
        self.names.get_or_init(|| keys_of_names(self.segment_files()))
    }

    /// The names of the files of all segments.
    pub(crate) fn segment_files(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().map(|segment| self.files[segment.file].name())
    }

    /// Files that must be read.
    pub(crate) fn unread(&self) -> impl Iterator<Item = usize> + '_ {
        self.files.iter().enumerate().filter(|(_, entry)| entry.scans.is_none()).map(|(index, _)| index)
    }

    /// Lists the segments of all files anew, after files have been scanned.
    fn collect(&mut self) {
        self.segments.clear();
        self.names = OnceLock::new();
        for (file, entry) in self.files.iter().enumerate() {
            for scan in entry.scans.iter().flatten() {
                self.segments.push(SourceSegment { file, scan: scan.clone(), rows: scan.facts.rows });
            }
        }
    }

    /// Rows that did not fit, file by file.
    pub(crate) fn bad_rows(&self) -> impl Iterator<Item = (&str, u64)> {
        let count = |entry: &FileEntry| entry.scans.iter().flatten().map(|scan| scan.facts.bad_rows).sum();
        self.files.iter().map(move |entry| (entry.name(), count(entry))).filter(|(_, rows)| *rows > 0)
    }

    /// What no column takes, file by file.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = (&str, Ignored)> {
        let all = |entry: &FileEntry| {
            let mut all = Ignored::default();
            entry.scans.iter().flatten().for_each(|scan| all.extend(&scan.facts.ignored));
            all
        };
        self.files.iter().map(move |entry| (entry.name(), all(entry))).filter(|(_, ignored)| !ignored.is_empty())
    }

    /// Remembers the files, and the segments of every one whose stamp can be trusted.
    pub(crate) fn remember(&self, plan: &Plan, source: usize, base: &Path, store: &Store) -> Result<(), Error> {
        let now = SystemTime::now();
        let files = self.files.iter().filter_map(|entry| {
            let (part, stamp) = (&entry.part, entry.part.stamp?);
            let scans = entry.scans.as_deref().filter(|_| !stamp.is_racy(now)).map(Cow::Borrowed);
            Some(FileMemo { name: Cow::Borrowed(&part.name), stamp, scans, notes: entry.notes.clone() })
        });
        let directories = self.directories.as_deref().map(Cow::Borrowed);
        let memo = SourceMemo { directories, files: files.collect() };
        Ok(store.remember(FILES, &memo_key(plan, source, base), &memo)?)
    }
}

/// Has the next run read the files anew of sources that these errors say changed: their stamps may be those of before.
pub(crate) fn forget_changed(planned: &Planned, store: &Store, errors: &[Error]) -> Result<(), Error> {
    let (plan, base) = (planned.plan.as_ref(), planned.base.as_path());
    let changed: Vec<&str> = errors.iter().filter_map(changed_source).collect();
    for (source, _) in plan.sources.iter().enumerate().filter(|(_, of)| changed.contains(&of.name.as_str())) {
        store.remember(FILES, &memo_key(plan, source, base), &SourceMemo::default())?;
    }
    if !changed.is_empty() {
        store.forget_found()?;
    }
    Ok(())
}

/// The source of which an error says that it did not stay the same.
fn changed_source(error: &Error) -> Option<&str> {
    match error {
        Error::Source { source_name, cause: Some(cause), .. } => {
            let is_change = matches!(cause.downcast_ref(), Some(SourceError::Changed { .. }));
            is_change.then_some(source_name)
        }
        _ => None,
    }
}

/// What reading a file found: its segments, unless its stamp could not be trusted, and what was noticed of it.
type FoundInFile = (Option<Vec<Arc<SegmentScan>>>, FileNotes);

impl SourceMemo<'_> {
    /// What the poll found that this remembers, and what reading each of these files found.
    fn split(self) -> (Polled, Vec<FoundInFile>) {
        let split = |FileMemo { name, stamp, scans, notes }: FileMemo<'_>| {
            let part = SourcePart { name: name.into_owned(), path: None, stamp: Some(stamp) };
            (part, (scans.map(Cow::into_owned), notes))
        };
        let (parts, found) = self.files.into_iter().map(split).unzip();
        (Polled { parts, folders: self.directories.map(Cow::into_owned) }, found)
    }
}

/// The files that were polled, with what reading them found before, where their stamps hold. Most polls find the files that are
/// known, in their order: these are not looked for by their names.
fn entries(known: Vec<SourcePart>, found: Vec<FoundInFile>, polled: Vec<SourcePart>) -> Vec<Arc<FileEntry>> {
    let in_place = known.iter().zip(&polled).take_while(|(known, part)| known.name == part.name).count();
    let mut known: Vec<(SourcePart, FoundInFile)> = known.into_iter().zip(found).collect();
    let moved = known.split_off(in_place);
    let mut moved: HashMap<String, (SourcePart, FoundInFile)> =
        moved.into_iter().map(|(part, found)| (part.name.clone(), (part, found))).collect();
    let mut known = known.into_iter();
    let entry = |part: SourcePart| {
        let known = known.next().or_else(|| moved.remove(&part.name));
        let known = known.filter(|(known, _)| part.stamp.is_some() && part.stamp == known.stamp);
        let (scans, notes) = known.map(|(_, found)| found).unwrap_or_default();
        Arc::new(FileEntry { part, scans, notes })
    };
    polled.into_iter().map(entry).collect()
}

/// A tree that differs where names do.
pub(crate) fn keys_of_names<'n>(names: impl Iterator<Item = &'n str>) -> Segments {
    let none: Arc<[ColumnKey]> = Arc::default();
    let key = |name: &str| SegmentKeys {
        rows: RowsKey::new(KeyHasher::new("name").bytes(name.as_bytes()).finish()),
        columns: none.clone(),
    };
    Segments::listed(&Fields::empty(), names.map(key).collect())
}

/// Under what a source's files are remembered: its place and all that shapes its rows.
fn memo_key(plan: &Plan, source: usize, base: &Path) -> [u8; 32] {
    let of = &plan.sources[source];
    let spec = flowc_sources::spec_digest(&of.spec, &plan.stream(of.stream).schema);
    let mut hasher = KeyHasher::new("source files 2");
    hasher.bytes(base.as_os_str().as_encoded_bytes()).digest(&spec);
    // Columns of folders are noticed unless the pipeline's text says that nothing shall read them.
    hasher.number(u64::from(of.spec.partitions == Some(false)));
    flowc_sources::source(&of.spec, base).hash_into(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow_schema::SchemaRef;
    use flowc_sources::{Folders, OpenFile};

    use super::*;

    /// A source that keeps what it was told.
    #[derive(Default)]
    struct Log {
        committed: Mutex<Vec<String>>,
    }

    impl Source for Log {
        fn hash_into(&self, _hasher: &mut KeyHasher) {}

        fn poll(&self, known: &Polled) -> Result<Polled, SourceError> {
            Ok(known.clone())
        }

        fn infer_schema(&self, _parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
            Err(SourceError::ReadOnce { name: "log" })
        }

        fn open(&self, _part: &SourcePart, _schema: &SchemaRef, _folders: &Folders) -> Result<OpenFile, SourceError> {
            Err(SourceError::ReadOnce { name: "log" })
        }

        fn commit(&self, parts: &mut dyn Iterator<Item = &SourcePart>) -> Result<(), SourceError> {
            self.committed.lock().unwrap().extend(parts.map(|part| part.name.clone()));
            Ok(())
        }
    }

    #[test]
    fn a_source_is_told_which_parts_are_done_in_their_order() {
        let entry = |name: &str| {
            Arc::new(FileEntry {
                part: SourcePart { name: name.to_owned(), path: None, stamp: None },
                scans: None,
                notes: FileNotes::default(),
            })
        };
        let of = |names: &[&str]| SourceInventory {
            files: names.iter().map(|name| entry(name)).collect(),
            ..Default::default()
        };
        let sources = [(0, Arc::new(of(&["other"]))), (1, Arc::new(of(&["block 7", "block 8"])))];
        let (inventory, log) = (Inventory { sources: BTreeMap::from(sources) }, Log::default());
        inventory.commit(1, &log).unwrap();
        assert_eq!(*log.committed.lock().unwrap(), ["block 7", "block 8"]);
    }

    #[test]
    fn files_keep_what_reading_them_found_while_their_stamps_hold() {
        let stamp = |size: u64| FileStamp { size, modified_ns: 1, changed_ns: 1, inode: 1, device: 1 };
        let part = |name: &str, size: u64| SourcePart { name: name.to_owned(), path: None, stamp: Some(stamp(size)) };
        let known = || ["a", "b", "c", "d"].map(|name| part(name, 1)).to_vec();
        let found = || (0..4).map(|number| (Some(Vec::with_capacity(number)), FileNotes::default())).collect();
        let kept = |polled: &[(&str, u64)]| -> Vec<String> {
            let polled = polled.iter().map(|(name, size)| part(name, *size)).collect();
            let entries = entries(known(), found(), polled);
            entries.iter().filter(|entry| entry.scans.is_some()).map(|entry| entry.name().to_owned()).collect()
        };
        assert_eq!(kept(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]), ["a", "b", "c", "d"]);
        assert_eq!(kept(&[("a", 1), ("b", 2), ("c", 1), ("d", 1)]), ["a", "c", "d"], "one was changed");
        assert_eq!(kept(&[("a", 1), ("aa", 1), ("b", 1), ("c", 1), ("d", 1)]), ["a", "b", "c", "d"], "one has come");
        assert_eq!(kept(&[("b", 1), ("c", 2), ("d", 1)]), ["b", "d"], "one has gone, one was changed");
        assert_eq!(kept(&[("d", 1), ("c", 1), ("b", 2), ("a", 1)]), ["d", "c", "a"], "in another order");
        assert_eq!(kept(&[]), [""; 0]);
    }
}
