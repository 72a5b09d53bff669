//! An object as a file that can be read at any place: what is missing is fetched.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use bytes::Bytes;
use flowc_objects::{Bucket, Object, ObjectError};
use flowc_platform::lock;

use crate::error::SourceError;
use crate::objects::blocks::{Answer, BLOCK, Step};
use crate::objects::kept::{Kept, Pieces};

/// How many bytes are looked for at once.
const PIECE: usize = 16 << 20;

/// An object that is read by several threads.
pub(crate) struct RemoteFile {
    bucket: Arc<dyn Bucket>,
    object: Object,
    /// Its address.
    name: String,
    kept: Mutex<Kept>,
    /// What came of fetching all of it in one request, once that was done.
    whole: Mutex<Option<Result<(), ObjectError>>>,
    /// Blocks have arrived, or will not.
    settled: Condvar,
    /// Why something could not be fetched: decoders hand on no more than a text.
    failure: Mutex<Option<ObjectError>>,
}

impl RemoteFile {
    /// Opens an object. `spool`: an existing folder for what is fetched.
    pub(crate) fn new(bucket: Arc<dyn Bucket>, object: Object, name: &str, spool: &Path) -> Result<Self, SourceError> {
        let fetched = tempfile::tempfile_in(spool).map_err(SourceError::io(&spool.to_string_lossy(), "write to it"))?;
        let kept = Mutex::new(Kept::new(object.size, fetched));
        let (settled, whole, failure) = (Condvar::new(), Mutex::default(), Mutex::default());
        Ok(Self { bucket, object, name: name.to_owned(), kept, whole, settled, failure })
    }

    /// Its address.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it was opened.
    pub(super) fn bucket(&self) -> &dyn Bucket {
        &*self.bucket
    }

    /// What was opened.
    pub(super) fn object(&self) -> &Object {
        &self.object
    }

    /// Its bytes when it was opened.
    pub(crate) fn length(&self) -> u64 {
        self.object.size
    }

    /// Why it could not be read, if it couldn't.
    pub(crate) fn failure(&self) -> Option<SourceError> {
        lock(&self.failure).clone().map(|error| failed(&self.name, error))
    }

    /// Fills a buffer with the bytes from `offset` on, all of which the object has.
    pub(crate) fn read_exact_at(self: &Arc<Self>, buffer: &mut [u8], offset: u64) -> Result<(), SourceError> {
        let mut at = offset;
        for piece in buffer.chunks_mut(PIECE) {
            self.find(at, piece.len(), |pieces| pieces.fill(piece))?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// The bytes from `offset` on, all of which the object has. They are not copied where they have come together.
    pub(crate) fn read(self: &Arc<Self>, offset: u64, length: usize) -> Result<Bytes, SourceError> {
        if length <= PIECE {
            return self.find(offset, length, |pieces| pieces.joined(length));
        }
        let mut buffer = vec![0; length];
        self.read_exact_at(&mut buffer, offset)?;
        Ok(buffer.into())
    }

    /// The same in pieces, which are not copied unless they lie in a file.
    pub(crate) fn read_pieces(self: &Arc<Self>, offset: u64, length: usize) -> Result<Vec<Bytes>, SourceError> {
        self.find(offset, length, |pieces| pieces.all())
    }

    /// Has bytes fetched unless they are at hand, and takes them.
    fn find<T>(
        self: &Arc<Self>,
        offset: u64,
        length: usize,
        take: impl FnOnce(Pieces<'_>) -> io::Result<T>,
    ) -> Result<T, SourceError> {
        let wanted = offset / BLOCK..(offset + length as u64).div_ceil(BLOCK);
        let mut kept = lock(&self.kept);
        loop {
            let Answer { step, ahead } = kept.blocks.ask(wanted.clone());
            match step {
                Step::Read(places) => {
                    // Places hold other blocks as soon as the lock is free.
                    let taken = take(kept.pieces(offset, length, &places));
                    drop(kept);
                    self.fetch_ahead(ahead);
                    return taken.map_err(SourceError::io(&self.name, "read what was fetched of it"));
                }
                Step::Wait if ahead.is_empty() => {
                    kept = self.settled.wait(kept).unwrap_or_else(PoisonError::into_inner);
                }
                Step::Wait => {
                    drop(kept);
                    self.fetch_ahead(ahead);
                    kept = lock(&self.kept);
                }
                Step::Fetch(runs) => {
                    drop(kept);
                    self.fetch_ahead(ahead);
                    self.fetch(&self.fetching(runs))?;
                    kept = lock(&self.kept);
                }
            }
        }
    }

    /// Fetches blocks while others are read. What fails is fetched again by who wants it, and told there.
    fn fetch_ahead(self: &Arc<Self>, runs: Vec<Range<u64>>) {
        if runs.is_empty() {
            return;
        }
        let fetching = self.fetching(runs);
        let ahead = move || _ = fetching.file.read_runs(&fetching);
        let thread = std::thread::Builder::new().name("flowc-ahead".to_owned());
        _ = thread.spawn(ahead);
    }

    fn fetching(self: &Arc<Self>, runs: Vec<Range<u64>>) -> Fetching {
        Fetching { file: Arc::clone(self), runs }
    }

    fn read_runs(&self, fetching: &Fetching) -> io::Result<Result<(), ObjectError>> {
        let of_run = |run: &Range<u64>| run.start * BLOCK..(run.end * BLOCK).min(self.object.size);
        let ranges: Vec<Range<u64>> = fetching.runs.iter().map(of_run).collect();
        let mut keep = |start: u64, bytes: Bytes| self.keep(start, &bytes);
        // Several requests may be answered from several versions where nothing tells these apart.
        match self.object.is_told_apart() {
            true => self.bucket.read(&self.object, &ranges, &mut keep),
            false => Ok(Err(ObjectError::NoRanges)),
        }
    }

    fn fetch(&self, fetching: &Fetching) -> Result<(), SourceError> {
        let mut read = self.read_runs(fetching);
        if let Ok(Err(ObjectError::NoRanges)) = read {
            read = self.fetch_all_once();
        }
        let read = read.map_err(SourceError::io(&self.name, "keep what is fetched of it"))?;
        *lock(&self.failure) = read.clone().err();
        read.map_err(|error| failed(&self.name, error))
    }

    /// Fetches the whole object, whoever asks first; others wait, and then find it.
    fn fetch_all_once(&self) -> io::Result<Result<(), ObjectError>> {
        let mut whole = lock(&self.whole);
        if whole.is_none() {
            *whole = Some(self.fetch_all()?);
        }
        Ok(whole.clone().unwrap_or(Ok(())))
    }

    /// Fetches the whole object.
    fn fetch_all(&self) -> io::Result<Result<(), ObjectError>> {
        lock(&self.kept).blocks.keep_all();
        let (mut held, mut at) = (Vec::new(), 0);
        let read = self.bucket.read_all(&self.object, &mut |_, bytes| {
            held.extend_from_slice(&bytes);
            let whole = held.len() - held.len() % BLOCK as usize;
            let rest = held.split_off(whole);
            self.keep(at, &Bytes::from(std::mem::replace(&mut held, rest)))?;
            at += whole as u64;
            Ok(())
        })?;
        if read.is_ok() {
            self.keep(at, &Bytes::from(held))?;
        }
        Ok(read)
    }

    /// Keeps bytes that begin with a block.
    fn keep(&self, start: u64, bytes: &Bytes) -> io::Result<()> {
        lock(&self.kept).keep(start, bytes)?;
        self.settled.notify_all();
        Ok(())
    }
}

/// Blocks that are being fetched; dropping it says that no more of them will arrive.
struct Fetching {
    file: Arc<RemoteFile>,
    runs: Vec<Range<u64>>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        lock(&self.file.kept).blocks.given_up(&self.runs);
        self.file.settled.notify_all();
    }
}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RemoteFile")
            .field("name", &self.name)
            .field("object", &self.object)
            .finish_non_exhaustive()
    }
}

/// An error of a store, about the object or bucket at this address.
pub(crate) fn failed(address: &str, error: ObjectError) -> SourceError {
    match error {
        ObjectError::Changed => {
            SourceError::Changed { file: address.to_owned(), what: "it was written again or deleted" }
        }
        other => SourceError::Object {
            address: address.to_owned(),
            reason: other.to_string(),
            is_of_machine: other.is_of_machine(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::testing::Memory;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|place| (place % 251) as u8).collect()
    }

    fn opened(bucket: &Arc<Memory>) -> Arc<RemoteFile> {
        let object = bucket.find("k").unwrap();
        Arc::new(RemoteFile::new(bucket.clone(), object, "s3://b/k", &std::env::temp_dir()).unwrap())
    }

    #[test]
    fn any_place_is_read_and_fetched_once() {
        let content = bytes(3 * BLOCK as usize + 100);
        let bucket = Arc::new(Memory::new([("k", &content[..])]));
        let file = opened(&bucket);
        for (offset, length) in
            [(3 * BLOCK, 100), (0, 5), (BLOCK - 3, 6), (0, content.len()), (content.len() as u64, 0)]
        {
            let mut buffer = vec![0; length];
            file.read_exact_at(&mut buffer, offset).unwrap();
            assert_eq!(buffer, content[offset as usize..][..length], "{offset} {length}");
        }
        assert_eq!(bucket.fetched(), content.len() as u64);
    }

    #[test]
    fn an_object_without_ranges_is_fetched_whole() {
        let content = bytes(2 * BLOCK as usize + 9);
        let bucket = Arc::new(Memory::new([("k", &content[..])]).without_ranges());
        let mut buffer = vec![0; 20];
        opened(&bucket).read_exact_at(&mut buffer, 2 * BLOCK - 11).unwrap();
        assert_eq!(buffer, content[content.len() - 20..]);
    }

    #[test]
    fn an_object_without_a_tag_is_one_version_whenever_it_is_written_again() {
        let content = bytes(2 * BLOCK as usize + 9);
        let bucket = Arc::new(Memory::new([("k", &content[..])]).without_tags());
        let file = opened(&bucket);
        file.read_exact_at(&mut [0; 5], 0).unwrap();
        bucket.put("k", vec![0; content.len()]);
        let mut buffer = vec![0; 20];
        file.read_exact_at(&mut buffer, 2 * BLOCK - 11).unwrap();
        assert_eq!(buffer, content[content.len() - 20..]);
    }

    #[test]
    fn an_object_that_was_written_again_is_refused_and_remembered() {
        let bucket = Arc::new(Memory::new([("k", "one")]));
        let file = opened(&bucket);
        bucket.put("k", "two");
        let mut buffer = [0; 3];
        let error = file.read_exact_at(&mut buffer, 0).unwrap_err().to_string();
        assert!(error.contains("s3://b/k: it was written again or deleted while it was being read"), "{error}");
        assert_eq!(file.failure().unwrap().to_string(), error);
    }
}
