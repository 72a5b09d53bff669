//! Objects that are being written, of which nobody sees anything: parts that were sent, or bytes in memory.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use flowc_objects::{Client, Condition, Object, ObjectError, Unfinished, Upload};

use super::place::{Place, reason};

/// Bytes of a part: what of an object waits in memory until it is sent.
const PART: usize = 8 << 20;
/// Parts of one size; those that follow are larger, since stores take 10 000 of them.
const OF_ONE_SIZE: usize = 1000;
/// Bytes of objects that wait in memory for the commit, over all objects of a transaction. Others are sent as parts: two more requests each.
const HELD: usize = 64 << 20;

/// How many bytes wait in memory.
#[derive(Default)]
pub(super) struct Held(AtomicUsize);

impl Held {
    /// Whether so many more bytes may wait.
    fn has_room(&self, bytes: usize) -> bool {
        let add = |held: usize| Some(held + bytes).filter(|sum| *sum <= HELD);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }
}

/// An object that is being written.
pub(super) struct StagedObject {
    bucket: Arc<Client>,
    key: String,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    size: u64,
    upload: Option<Upload>,
}

/// An object that waits to appear. Dropped, it never does.
pub(super) struct StagedOutput {
    pub(super) path: String,
    pub(super) rows: u64,
    pub(super) size: u64,
    pub(super) bytes_digest: [u8; 32],
    waiting: Waiting,
}

enum Waiting {
    Bytes(Bytes),
    Upload(Box<Upload>),
}

impl StagedObject {
    pub(super) fn new(place: &Place, path: &str) -> Self {
        let (buffer, hasher) = (Vec::new(), blake3::Hasher::new());
        Self { bucket: place.bucket.clone(), key: place.key(path), buffer, hasher, size: 0, upload: None }
    }

    /// Ends the object.
    pub(super) fn finish(mut self, held: &Held, path: String, rows: u64) -> io::Result<StagedOutput> {
        let is_whole = self.upload.is_none() && (!self.bucket.takes_parts() || held.has_room(self.buffer.len()));
        let waiting = if is_whole {
            self.hasher.update(&self.buffer);
            self.size += self.buffer.len() as u64;
            Waiting::Bytes(Bytes::from(std::mem::take(&mut self.buffer)))
        } else {
            self.send().map_err(not_sent)?;
            let mut upload = self.upload.take().ok_or_else(|| io::Error::other("nothing was sent"))?;
            upload.settle().map_err(not_sent)?;
            Waiting::Upload(Box::new(upload))
        };
        let bytes_digest = *self.hasher.finalize().as_bytes();
        Ok(StagedOutput { path, rows, size: self.size, bytes_digest, waiting })
    }

    /// Sends what waits as a part.
    fn send(&mut self) -> Result<(), ObjectError> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => self.upload.insert(self.bucket.begin(&self.key)?),
        };
        let part = std::mem::take(&mut self.buffer);
        if part.is_empty() {
            return Ok(());
        }
        self.hasher.update(&part);
        self.size += part.len() as u64;
        upload.add(Bytes::from(part))
    }

    fn part_size(&self) -> usize {
        let sent = self.upload.as_ref().map_or(0, Upload::count);
        if self.bucket.takes_parts() { PART * (1 + sent / OF_ONE_SIZE) } else { HELD }
    }
}

impl Write for StagedObject {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Parts are of one size, as some stores want it.
        let taken = bytes.len().min(self.part_size() - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() >= self.part_size() {
            self.send().map_err(not_sent)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a part was not taken: others may have aborted the upload.
fn not_sent(error: ObjectError) -> io::Error {
    io::Error::other(reason(&error))
}

impl StagedOutput {
    /// Whether an upload is the one that it waits in.
    pub(super) fn is_in(&self, upload: &Unfinished) -> bool {
        matches!(&self.waiting, Waiting::Upload(own) if own.is(upload))
    }

    /// Makes the object appear, in one step.
    pub(super) fn appear(self, place: &Place, condition: &Condition) -> Result<Object, ObjectError> {
        let key = place.key(&self.path);
        let done = match self.waiting {
            Waiting::Bytes(bytes) => place.bucket.put(&key, bytes, condition),
            Waiting::Upload(upload) => upload.complete(condition),
        };
        // It may be there, though the answer was lost: then the request was made again and found it changed, by itself.
        done.or_else(|error| match place.find_content(&key, self.size, &self.bytes_digest) {
            Ok(Some(object)) => Ok(object),
            _ => Err(error),
        })
    }
}
