//! Rows on their way from a database or a topic. A thread fetches and keeps them; each segment is handed on as soon as it is complete, so
//! that stages work while the rest still comes, and on what is in memory.

use std::cell::Cell;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use arrow_array::RecordBatch;
use flowc_platform::lock;

use crate::error::SourceError;
use crate::reader::Rows;
use crate::segment::{AtHand, RawSegment};

/// How many segments wait for whoever takes them.
const WAITING: usize = 1;

/// A segment as it is handed on.
pub(crate) struct Fresh {
    pub(crate) raw: RawSegment,
    /// Its rows, as they are kept.
    pub(crate) batch: RecordBatch,
    /// Rows before it.
    pub(crate) before: u64,
}

/// How the rows of what arrives are read.
pub(crate) trait Kept: Send + Sync {
    /// Columns that are kept, and that the source does not have.
    fn unknown(&self) -> Vec<String>;

    /// The rows of a segment that is at hand, with as many rows before it.
    ///
    /// # Errors
    /// If they are not of the source's columns.
    fn at_hand(&self, batch: RecordBatch, before: u64, projection: &[usize]) -> Result<Rows, SourceError>;

    /// The rows of a segment, once all are kept.
    ///
    /// # Errors
    /// If what is kept can't be read.
    fn kept(&self, segment: &RawSegment, projection: &[usize]) -> Result<Rows, SourceError>;
}

/// What comes of fetching.
enum Arrival {
    Segment(Fresh),
    /// All has come, and is kept in so many bytes; or it has failed.
    End(Result<u64, SourceError>),
}

/// Rows of which segments are handed on while they are fetched.
pub(crate) struct Arriving {
    name: String,
    rows: Box<dyn Kept>,
    /// How many bytes are kept, once all have come.
    bytes: AtomicU64,
    arrivals: Mutex<Option<Receiver<Arrival>>>,
    fetching: Mutex<Option<JoinHandle<()>>>,
}

/// The thread's side.
pub(crate) struct Handing {
    begun: SyncSender<Result<Option<Box<dyn Kept>>, SourceError>>,
    arrivals: SyncSender<Arrival>,
    /// Whether segments are handed on.
    is_live: Cell<bool>,
}

impl Handing {
    /// Says how rows are read. From now on segments are handed on.
    pub(crate) fn begin(&self, rows: Box<dyn Kept>) {
        self.is_live.set(true);
        _ = self.begun.send(Ok(Some(rows)));
    }

    /// Hands a segment on.
    ///
    /// # Errors
    /// If nobody takes it any more.
    pub(crate) fn hand_on(&self, segment: Fresh) -> io::Result<()> {
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

impl Arriving {
    /// Has a thread fetch and keep rows; `fetch` gives the bytes that they are kept in, or nothing if they were kept already. None if
    /// there is nothing to wait for any more.
    ///
    /// # Errors
    /// What `fetch` fails with before it says how rows are read.
    pub(crate) fn begin(
        name: &str,
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
        Ok(begun?.map(|rows| Self {
            name: name.to_owned(),
            rows,
            bytes: AtomicU64::new(0),
            arrivals: Mutex::new(Some(arriving)),
            fetching: Mutex::new(Some(thread)),
        }))
    }

    /// Columns that the source does not have.
    pub(crate) fn unknown(&self) -> Vec<String> {
        self.rows.unknown()
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

    /// The rows of a segment. For what is not at hand, all that still comes is waited for.
    pub(crate) fn read(
        &self,
        segment: &RawSegment,
        at_hand: Option<AtHand>,
        projection: &[usize],
    ) -> Result<Rows, SourceError> {
        if let Some(AtHand::Rows(batch, before)) = at_hand {
            return self.rows.at_hand(batch, before, projection);
        }
        self.segments().try_for_each(|segment| segment.map(drop))?;
        self.rows.kept(segment, projection)
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

    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};
    use flowc_planner::key::RawDigest;

    use super::*;

    /// One batch of what is at hand, and none of what is kept.
    struct Given;

    impl Kept for Given {
        fn unknown(&self) -> Vec<String> {
            Vec::new()
        }

        fn at_hand(&self, batch: RecordBatch, _before: u64, _projection: &[usize]) -> Result<Rows, SourceError> {
            Ok(Rows::One(Some(batch)))
        }

        fn kept(&self, _segment: &RawSegment, _projection: &[usize]) -> Result<Rows, SourceError> {
            Ok(Rows::One(None))
        }
    }

    fn segment(ordinal: u32) -> Fresh {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![7]))]).unwrap();
        let raw = RawDigest::new([0; 32]);
        let raw = RawSegment { offset: 0, length: 0, ordinal, rows: None, raw, columns: None };
        Fresh { raw, batch, before: u64::from(ordinal) }
    }

    fn begin(
        fetch: impl FnOnce(&Handing) -> Result<Option<u64>, SourceError> + Send + 'static,
    ) -> Result<Option<Arriving>, SourceError> {
        let begin = move |handing: &Handing| {
            handing.begin(Box::new(Given));
            fetch(handing)
        };
        Arriving::begin("rows", begin)
    }

    fn failed() -> SourceError {
        SourceError::Changed { file: "rows".to_owned(), what: "it failed" }
    }

    #[test]
    fn segments_come_while_rows_are_fetched() {
        let (go_on, wait) = sync_channel(0);
        let arriving = begin(move |handing| {
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
    fn what_is_not_at_hand_is_read_once_all_is_kept() {
        let kept = |result: fn() -> Result<Option<u64>, SourceError>| {
            let arriving = begin(move |handing| {
                (0..9).for_each(|ordinal| handing.hand_on(segment(ordinal)).unwrap());
                result()
            });
            let arriving = arriving.unwrap().unwrap();
            let read = arriving.read(&segment(4).raw, None, &[0]).map(|rows| matches!(rows, Rows::One(None)));
            (read.ok(), arriving.bytes())
        };
        assert_eq!(kept(|| Ok(Some(9))), (Some(true), 9));
        assert_eq!(kept(|| Err(failed())), (None, 0));
    }

    #[test]
    fn a_failure_comes_behind_the_segments_before_it() {
        let arriving = begin(|handing| {
            handing.hand_on(segment(0)).unwrap();
            Err(failed())
        });
        let arriving = arriving.unwrap().unwrap();
        let mut segments = arriving.segments();
        assert!(segments.next().unwrap().is_ok() && segments.next().unwrap().is_err() && segments.next().is_none());
        assert!(Arriving::begin("rows", |_| Err(failed())).is_err());
    }

    #[test]
    fn what_is_kept_already_or_can_not_be_handed_on_is_not_waited_for() {
        let handed_on = |handing: &Handing| handing.hand_on(segment(0)).map(|()| Some(1)).map_err(|_| failed());
        assert!(Arriving::begin("rows", handed_on).unwrap().is_none());
        assert!(Arriving::begin("rows", |_| Ok(None)).unwrap().is_none());
    }

    #[test]
    fn whoever_fetches_ends_when_nobody_takes_and_a_panic_is_told() {
        let arriving = begin(|handing| {
            while handing.hand_on(segment(0)).is_ok() {}
            Ok(None)
        });
        drop(arriving.unwrap());
        let arriving = begin(|_| panic!("as asked")).unwrap().unwrap();
        let told = flowc_platform::caught(|| arriving.segments().count());
        assert!(told.is_err_and(|panic| panic.message.contains("as asked")));
    }
}
