//! Rows of a database on their way. A thread fetches and keeps them; each segment is handed on as soon as it is complete, so that stages
//! work while the database still gives rows.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use arrow_schema::{DataType, Schema, SchemaRef};
use flowc_platform::lock;

use super::snapshot::{self, Fresh};
use crate::columnar::conform::{Conform, unknown_columns};
use crate::error::SourceError;
use crate::reader::Rows;
use crate::segment::{AtHand, RawSegment};

/// How many segments wait for whoever takes them.
const WAITING: usize = 1;

/// What comes of fetching.
enum Arrival {
    Segment(Fresh),
    /// All has come, and is kept in so many bytes; or it has failed.
    End(Result<u64, SourceError>),
}

/// Rows of which segments are handed on while they are fetched.
pub(crate) struct Arriving {
    name: String,
    /// The columns that the database gives.
    found: SchemaRef,
    /// The columns of the source.
    wanted: SchemaRef,
    /// Where they are kept once all have come.
    place: PathBuf,
    bytes: AtomicU64,
    arrivals: Mutex<Option<Receiver<Arrival>>>,
    fetching: Mutex<Option<JoinHandle<()>>>,
}

/// The thread's side.
pub(super) struct Handing {
    begun: SyncSender<Result<Option<SchemaRef>, SourceError>>,
    arrivals: SyncSender<Arrival>,
    /// Whether segments are handed on.
    is_live: Cell<bool>,
}

impl Handing {
    /// Says which columns the database gives. From now on segments are handed on, if their digests can be told from what is written alone.
    pub(super) fn begin(&self, found: &SchemaRef) {
        if !has_dictionary(found) {
            self.is_live.set(true);
            _ = self.begun.send(Ok(Some(found.clone())));
        }
    }

    /// Hands a segment on.
    ///
    /// # Errors
    /// If nobody takes it any more.
    pub(super) fn hand_on(&self, segment: Fresh) -> io::Result<()> {
        match self.is_live.get() {
            true => self.arrivals.send(Arrival::Segment(segment)).map_err(|_| io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }

    /// Says what came of it. Nobody may be left to hear.
    fn end(&self, result: Result<Option<u64>, SourceError>) {
        match (self.is_live.get(), result) {
            (true, result) => _ = self.arrivals.send(Arrival::End(result.map(Option::unwrap_or_default))),
            (false, result) => _ = self.begun.send(result.map(|_| None)),
        }
    }
}

fn has_dictionary(schema: &Schema) -> bool {
    schema.flattened_fields().iter().any(|field| matches!(field.data_type(), DataType::Dictionary(..)))
}

impl Arriving {
    /// Has a thread fetch and keep rows; `fetch` gives the bytes that they are kept in, or nothing if they were kept already. None if
    /// there is nothing to wait for any more.
    ///
    /// # Errors
    /// What `fetch` fails with before it says which columns there are.
    pub(super) fn begin(
        name: &str,
        place: &Path,
        wanted: &SchemaRef,
        fetch: impl FnOnce(&Handing) -> Result<Option<u64>, SourceError> + Send + 'static,
    ) -> Result<Option<Self>, SourceError> {
        let (begun, when_begun) = sync_channel(1);
        let (arrivals, arriving) = sync_channel(WAITING);
        let work = move || {
            let handing = Handing { begun, arrivals, is_live: Cell::new(false) };
            let result = fetch(&handing);
            handing.end(result);
        };
        let thread = Builder::new().name("flowc-fetch".to_owned()).spawn(work);
        let thread = thread.map_err(SourceError::io(name, "start a thread for it"))?;
        let Ok(begun) = when_begun.recv() else { return Err(ended(name, thread)) };
        Ok(begun?.map(|found| Self {
            name: name.to_owned(),
            found,
            wanted: wanted.clone(),
            place: place.to_owned(),
            bytes: AtomicU64::new(0),
            arrivals: Mutex::new(Some(arriving)),
            fetching: Mutex::new(Some(thread)),
        }))
    }

    /// Columns that the source does not have.
    pub(crate) fn unknown(&self) -> Vec<String> {
        unknown_columns(&self.found, &self.wanted)
    }

    /// The bytes that all rows are kept in, once all have come.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The segments as they come; for whoever asks first.
    pub(crate) fn segments(&self) -> impl Iterator<Item = Result<(RawSegment, Option<AtHand>), SourceError>> + Send {
        let mut arrivals = lock(&self.arrivals).take();
        std::iter::from_fn(move || match arrivals.as_ref()?.recv() {
            Ok(Arrival::Segment(Fresh { raw, batch, before })) => Some(Ok((raw, Some(AtHand::Rows(batch, before))))),
            Ok(Arrival::End(result)) => {
                arrivals = None;
                match result {
                    Ok(bytes) => self.bytes.store(bytes, Ordering::Relaxed),
                    Err(error) => return Some(Err(error)),
                }
                None
            }
            Err(_) => {
                arrivals = None;
                lock(&self.fetching).take().map(|thread| Err(ended(&self.name, thread)))
            }
        })
    }

    /// The rows of a segment; those that are not at hand once all are kept.
    pub(crate) fn read(
        &self,
        segment: &RawSegment,
        at_hand: Option<AtHand>,
        projection: &[usize],
    ) -> Result<Rows, SourceError> {
        match at_hand {
            Some(AtHand::Rows(batch, before)) => {
                let mut conform = Conform::new(&self.name, &self.wanted, projection, before);
                Ok(Rows::One(Some(conform.apply(&batch)?).filter(|batch| batch.num_rows() > 0)))
            }
            _ => {
                let (kept, _) = snapshot::open(&self.place, &self.name, &self.wanted)?;
                Ok(Rows::Ipc(Box::new(kept.read(segment, projection)?)))
            }
        }
    }
}

impl Drop for Arriving {
    /// Nothing is fetched for nobody.
    fn drop(&mut self) {
        drop(lock(&self.arrivals).take());
        if let Some(thread) = lock(&self.fetching).take() {
            _ = thread.join();
        }
    }
}

/// A thread that has ended without a word has panicked.
fn ended(name: &str, thread: JoinHandle<()>) -> SourceError {
    match thread.join() {
        Err(panic) => std::panic::resume_unwind(panic),
        Ok(()) => SourceError::Changed { file: name.to_owned(), what: "whoever fetched it has ended" },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch};
    use arrow_schema::Field;

    use super::*;

    fn columns(data_type: DataType) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", data_type, true)]))
    }

    fn segment(ordinal: u32) -> Fresh {
        let schema = columns(DataType::Int64);
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![7]))]).unwrap();
        let raw = crate::columnar::ipc::segment_of_batch(&schema, ordinal, None);
        Fresh { raw, batch, before: u64::from(ordinal) }
    }

    fn begin(
        found: DataType,
        fetch: impl FnOnce(&Handing) -> Result<Option<u64>, SourceError> + Send + 'static,
    ) -> Result<Option<Arriving>, SourceError> {
        let begin = move |handing: &Handing| {
            handing.begin(&columns(found));
            fetch(handing)
        };
        Arriving::begin("rows", Path::new("/nowhere"), &columns(DataType::Int64), begin)
    }

    fn failed() -> SourceError {
        SourceError::Changed { file: "rows".to_owned(), what: "it failed" }
    }

    #[test]
    fn segments_come_while_rows_are_fetched() {
        let (go_on, wait) = sync_channel(0);
        let arriving = begin(DataType::Int64, move |handing| {
            handing.hand_on(segment(0)).unwrap();
            wait.recv().unwrap();
            handing.hand_on(segment(1)).unwrap();
            Ok(Some(9))
        });
        let arriving = arriving.unwrap().unwrap();
        let mut segments = arriving.segments();
        let (raw, at_hand) = segments.next().unwrap().unwrap();
        assert!(matches!(arriving.read(&raw, at_hand, &[0]).unwrap(), Rows::One(Some(batch)) if batch.num_rows() == 1));
        go_on.send(()).unwrap();
        assert_eq!(segments.by_ref().map(|segment| segment.unwrap().0.ordinal).collect::<Vec<_>>(), [1]);
        drop(segments);
        assert_eq!(arriving.bytes(), 9);
    }

    #[test]
    fn a_failure_comes_behind_the_segments_before_it() {
        let arriving = begin(DataType::Int64, |handing| {
            handing.hand_on(segment(0)).unwrap();
            Err(failed())
        });
        let arriving = arriving.unwrap().unwrap();
        let mut segments = arriving.segments();
        assert!(segments.next().unwrap().is_ok() && segments.next().unwrap().is_err() && segments.next().is_none());
        assert!(Arriving::begin("rows", Path::new("/nowhere"), &columns(DataType::Int64), |_| Err(failed())).is_err());
    }

    #[test]
    fn what_is_kept_already_or_has_dictionaries_is_not_waited_for() {
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        let handed_on = |handing: &Handing| handing.hand_on(segment(0)).map(|()| Some(1)).map_err(|_| failed());
        assert!(begin(dictionary, handed_on).unwrap().is_none());
        let kept = Arriving::begin("rows", Path::new("/nowhere"), &columns(DataType::Int64), |_| Ok(None));
        assert!(kept.unwrap().is_none());
    }

    #[test]
    fn whoever_fetches_ends_when_nobody_takes_and_a_panic_is_told() {
        let arriving = begin(DataType::Int64, |handing| {
            while handing.hand_on(segment(0)).is_ok() {}
            Ok(None)
        });
        drop(arriving.unwrap());
        let arriving = begin(DataType::Int64, |_| panic!("as asked")).unwrap().unwrap();
        let told = flowc_platform::caught(|| arriving.segments().count());
        assert!(told.is_err_and(|panic| panic.message.contains("as asked")));
    }
}
