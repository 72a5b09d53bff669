//! Memory that is shared with the other side of a connection on one host, so that batches need not travel through its socket
//! (`docs/flight-protocol.md`, "Shared memory").
//!
//! - [`Meeting`] is where flowc waits for a program that wants it, and [`Memory::join`] how the program comes by it;
//! - `blocks` are the parts of a region that are lent;
//! - `handed` and `received` are the two sides of files that programs map.
//!
//! Each side writes to one region and reads the other. flowc copies out of it before it looks at what is there, since a program is not
//! trusted. A program may look at rows where they lie, as long as it gives them back soon.

mod blocks;
mod handed;
mod meeting;
mod received;

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_platform::{Region, lock, receive_files};

pub use handed::OpenFiles;
pub use meeting::{MEMORY, Meeting};

use blocks::Blocks;
use handed::{FILE, Handed};
use received::Received;

use crate::wire::{Block, WireStored};

/// Batches with fewer bytes are better sent through the socket.
const SMALL: u64 = 64 << 10;
/// How often the socket is read at once, 64 offsets each time.
const ROUNDS: usize = 64;
/// Bytes of an offset on the socket.
const OFFSET: usize = size_of::<u64>();

/// Memory shared with another process.
#[derive(Debug)]
pub(crate) struct Memory {
    given: Region,
    taken: Region,
    books: Mutex<Books>,
    /// Bytes of the other side that are used where they lie.
    borrowed: AtomicU64,
}

/// What is lent, and what is said about it.
#[derive(Debug)]
struct Books {
    lent: Blocks,
    socket: UnixStream,
    /// Bytes that the socket did not take yet.
    unsaid: Vec<u8>,
    /// The beginning of an offset whose rest did not come yet.
    heard: Vec<u8>,
    files: Files,
}

/// Stored segments that the program maps.
#[derive(Debug)]
enum Files {
    None,
    /// On flowc's side.
    Handed(Handed),
    /// On the program's.
    Received(Received),
}

impl Memory {
    /// `given` is written here. The socket must not block.
    fn new(given: Region, taken: Region, socket: UnixStream, files: Files) -> Self {
        let lent = Blocks::new(given.size());
        let books = Books { lent, socket, unsaid: Vec::new(), heard: Vec::new(), files };
        Self { given, taken, books: Mutex::new(books), borrowed: AtomicU64::new(0) }
    }

    /// Lends the other side a batch. None if it is small, or there is no room.
    ///
    /// # Errors
    /// If it can't be encoded.
    pub(crate) fn lend(&self, batch: &RecordBatch) -> Result<Option<Block>, ArrowError> {
        if crate::pending::bytes_of(batch.columns()) < SMALL {
            return Ok(None);
        }
        let stream = StreamEncoder::try_new(batch.schema_ref())?.encode(batch)?;
        let length = stream.iter().map(|buffer| buffer.len() as u64).sum();
        let Some(offset) = self.books().lend(length) else { return Ok(None) };
        self.given.write(offset as usize, stream.iter().map(Buffer::as_slice));
        Ok(Some([offset, length]))
    }

    /// A copy of what the other side has lent, which is given back. None if there is no such place.
    pub(crate) fn take(&self, [offset, length]: Block) -> Option<Buffer> {
        let copy = self.taken.read(offset..offset.checked_add(length)?);
        self.books().give_back(offset);
        copy.map(Buffer::from_vec)
    }

    /// What the other side has lent, where it lies: it is given back with the last slice of it. A copy where half of the region is in use
    /// so, since the rest is to be there for what comes. None if there is no such place.
    ///
    /// For programs: flowc does not write to what it has lent, and nothing holds a program to that.
    pub(crate) fn borrow(self: &Arc<Self>, [offset, length]: Block) -> Option<Buffer> {
        let start = self.taken.place(offset..offset.checked_add(length)?)?;
        let before = self.borrowed.fetch_add(length, Ordering::Relaxed);
        let lent = Arc::new(Borrowed { memory: self.clone(), offset, length });
        if before + length > self.taken.size() / 2 {
            // The copy is made before the block goes back.
            let copy = self.taken.read(offset..offset + length);
            drop(lent);
            return copy.map(Buffer::from_vec);
        }
        // SAFETY: the bytes lie in the mapping, which lives as long as the owner that goes with the buffer, and flowc, which alone can write
        // there, does so no sooner than the owner has given them back.
        Some(unsafe { Buffer::from_custom_allocation(start, length as usize, lent) })
    }

    /// The number by which the program knows a stored file; it is handed over if need be. None if that can't be done.
    pub(crate) fn hand(&self, path: &Path) -> Option<u64> {
        let books = &mut *self.books();
        match &mut books.files {
            // What is to be said first is cut in the middle.
            _ if !books.unsaid.is_empty() => None,
            Files::Handed(handed) => handed.number(path, &books.socket).ok(),
            Files::None | Files::Received(_) => None,
        }
    }

    /// Batches of a file that flowc has handed over.
    ///
    /// # Errors
    /// If there is no such file, or they are not in it.
    pub(crate) fn stored(&self, stored: &WireStored, due: &SchemaRef) -> Result<Vec<RecordBatch>, String> {
        let file = {
            let mut books = self.books();
            books.hear();
            match &books.files {
                Files::Received(received) => received.get(stored.file),
                Files::None | Files::Handed(_) => None,
            }
        };
        let file = file.ok_or_else(|| format!("no file {} was handed over", stored.file))?;
        file.batches(stored, due).map_err(|error| error.to_string())
    }

    /// Whether the other side holds nothing that it was lent.
    pub(crate) fn is_whole(&self) -> bool {
        let mut books = self.books();
        books.hear();
        books.lent.is_whole()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }
}

/// Bytes that are used where they lie.
#[derive(Debug)]
struct Borrowed {
    memory: Arc<Memory>,
    offset: u64,
    length: u64,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.memory.borrowed.fetch_sub(self.length, Ordering::Relaxed);
        self.memory.books().give_back(self.offset);
    }
}

impl Books {
    fn lend(&mut self, bytes: u64) -> Option<u64> {
        self.hear();
        self.lent.lend(bytes)
    }

    /// Reads which blocks have come back, and takes what files are handed over. Of a socket that is closed nothing comes any
    /// more.
    fn hear(&mut self) {
        let mut bytes = [0; 64 * OFFSET];
        // A program may write without end; no more blocks than these fit into a region.
        for _ in 0..ROUNDS {
            let Ok((count @ 1.., files)) = receive_files(&self.socket, &mut bytes) else { return };
            let mut files = files.into_iter();
            self.heard.extend_from_slice(&bytes[..count]);
            let (words, rest) = self.heard.as_chunks::<OFFSET>();
            for word in words.iter().map(|word| u64::from_le_bytes(*word)) {
                match &mut self.files {
                    Files::Received(received) if word & FILE != 0 => {
                        if let Some(file) = files.next() {
                            received.put(word & !FILE, &file);
                        }
                    }
                    _ => self.lent.take_back(word),
                }
            }
            self.heard = rest.to_vec();
        }
    }

    /// Says that a block is not needed any more; later, if the other side does not listen.
    fn give_back(&mut self, offset: u64) {
        self.unsaid.extend_from_slice(&offset.to_le_bytes());
        match self.socket.write(&self.unsaid) {
            Ok(count) => drop(self.unsaid.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // Nobody is there to be told.
            Err(_) => self.unsaid.clear(),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, Int64Array};
    use arrow_ipc::reader::StreamDecoder;

    use super::*;

    /// Both sides: flowc's, and the program's.
    fn sides() -> (Memory, Memory) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("m");
        let meeting = Meeting::at(&socket, None).unwrap();
        let program = std::thread::spawn(move || Memory::join(&socket).unwrap());
        loop {
            if let Some(memory) = meeting.share() {
                return (memory, program.join().unwrap());
            }
        }
    }

    fn megabyte() -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1 << 17));
        RecordBatch::try_from_iter([("n", numbers)]).unwrap()
    }

    fn read(memory: &Memory, block: Block) -> RecordBatch {
        StreamDecoder::new().decode(&mut memory.take(block).unwrap()).unwrap().unwrap()
    }

    #[test]
    fn batches_go_both_ways() {
        let (ours, theirs) = sides();
        let batch = megabyte().slice(1000, 100_000);
        for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
            let blocks: Vec<Block> = (0..3).map(|_| from.lend(&batch).unwrap().unwrap()).collect();
            assert!(!from.is_whole());
            assert!(blocks.iter().rev().all(|block| read(to, *block) == batch));
            assert!(from.is_whole());
        }
    }

    #[test]
    fn what_is_used_where_it_lies_goes_back_with_its_last_slice() {
        let (ours, theirs) = sides();
        let theirs = Arc::new(theirs);
        let blocks: Vec<Block> = std::iter::from_fn(|| ours.lend(&megabyte()).unwrap()).collect();
        let half = |count: u64| count * blocks[0][1] <= theirs.taken.size() / 2;
        let borrowed: Vec<Buffer> = blocks.iter().map(|block| theirs.borrow(*block).unwrap()).collect();
        let in_place = borrowed.iter().zip(&blocks).filter(|(buffer, [offset, length])| {
            theirs.taken.place(*offset..offset + length).unwrap() == buffer.data_ptr()
        });
        let in_place = in_place.count() as u64;
        assert!(half(in_place) && !half(in_place + 1), "{in_place}");
        let read = |buffer: &Buffer| StreamDecoder::new().decode(&mut buffer.clone()).unwrap().unwrap();
        assert!(borrowed.iter().all(|buffer| read(buffer) == megabyte()));
        let last = read(&borrowed[0]);
        drop(borrowed);
        assert!(!ours.is_whole(), "a column of it is in use");
        assert_eq!(last, megabyte());
        drop(last);
        assert!(ours.is_whole());
        assert!(theirs.borrow([theirs.taken.size(), 1]).is_none());
    }

    #[test]
    fn a_full_region_lends_no_more_until_something_comes_back() {
        let (ours, theirs) = sides();
        let blocks: Vec<Block> = std::iter::from_fn(|| ours.lend(&megabyte()).unwrap()).collect();
        assert!(blocks.len() > 8, "more than may be on its way at once");
        assert_eq!(read(&theirs, blocks[1]), megabyte());
        assert_eq!(ours.lend(&megabyte()).unwrap(), Some(blocks[1]));
        assert_eq!(ours.lend(&megabyte()).unwrap(), None);
    }

    #[test]
    fn small_batches_and_places_elsewhere_are_not_shared() {
        let (ours, theirs) = sides();
        assert_eq!(ours.lend(&megabyte().slice(0, 100)).unwrap(), None);
        let size = theirs.taken.size();
        assert!([[size, 1], [u64::MAX, 1], [0, u64::MAX]].iter().all(|block| theirs.take(*block).is_none()));
        assert!(theirs.take([size - 1, 1]).is_some());
    }

    #[test]
    fn offsets_come_in_any_pieces() {
        let (ours, theirs) = sides();
        let blocks = [(); 2].map(|()| ours.lend(&megabyte()).unwrap().unwrap());
        let offsets = blocks.map(|[offset, _]| offset.to_le_bytes()).concat();
        let mut socket = &theirs.books().socket;
        for byte in offsets {
            assert!(!ours.is_whole());
            socket.write_all(&[byte]).unwrap();
        }
        assert!(ours.is_whole());
    }
}
