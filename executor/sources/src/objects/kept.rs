//! What was fetched of an object: in memory while there is room, and in an unlinked file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::objects::blocks::{BLOCK, Blocks};

/// Bytes that may be in memory of all objects that are open.
const HELD: usize = 128 << 20;
/// How many are.
static IN_MEMORY: AtomicUsize = AtomicUsize::new(0);

/// The blocks of one object that are at hand.
pub(super) struct Kept {
    pub(super) blocks: Blocks,
    /// Those that are in memory, by their places. Others lie at their places in the file.
    runs: HashMap<u64, Arc<Run>>,
    file: File,
}

/// Bytes that have come together.
struct Run {
    /// Where the object has them.
    start: u64,
    bytes: Bytes,
    _room: Room,
}

/// Room in memory, which is given back when it is dropped.
struct Room(usize);

impl Room {
    fn take(bytes: usize) -> Option<Self> {
        let add = |held: usize| Some(held + bytes).filter(|sum| *sum <= HELD);
        IN_MEMORY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok().then(|| Self(bytes))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        IN_MEMORY.fetch_sub(self.0, Ordering::Relaxed);
    }
}

impl Kept {
    /// Nothing yet of an object of this size. `file`: an empty one.
    pub(super) fn new(size: u64, file: File) -> Self {
        Self { blocks: Blocks::new(size), runs: HashMap::new(), file }
    }

    /// Keeps bytes that begin with a block.
    pub(super) fn keep(&mut self, start: u64, bytes: &Bytes) -> io::Result<()> {
        let in_memory = |room| Arc::new(Run { start, bytes: bytes.clone(), _room: room });
        let run = Room::take(bytes.len()).map(in_memory);
        for (block, bytes) in (start / BLOCK..).zip(bytes.chunks(BLOCK as usize)) {
            let place = self.blocks.arrived(block);
            match &run {
                Some(run) => drop(self.runs.insert(place, run.clone())),
                None => {
                    self.file.write_all_at(bytes, place * BLOCK)?;
                    self.runs.remove(&place);
                }
            }
        }
        Ok(())
    }

    /// The bytes from `offset` on, whose blocks are at these places.
    pub(super) fn pieces(&self, offset: u64, length: usize, places: &[u64]) -> Pieces<'_> {
        let (end, mut pieces) = (offset + length as u64, Vec::<Piece>::new());
        for (block, place) in (offset / BLOCK..).zip(places) {
            let (from, to) = (offset.max(block * BLOCK), end.min((block + 1) * BLOCK));
            let (length, within) = (to.saturating_sub(from), from - block * BLOCK);
            let (run, at) = match self.runs.get(place) {
                Some(run) => (Some(run), from - run.start),
                None => (None, place * BLOCK + within),
            };
            match pieces.last_mut() {
                Some(last) if last.run.map(Arc::as_ptr) == run.map(Arc::as_ptr) && last.at + last.length == at => {
                    last.length += length;
                }
                _ => pieces.push(Piece { run, at, length }),
            }
        }
        Pieces { file: &self.file, pieces }
    }
}

/// Bytes that lie together: in a run, or in the file.
struct Piece<'k> {
    run: Option<&'k Arc<Run>>,
    at: u64,
    length: u64,
}

/// Where some bytes of an object are.
pub(super) struct Pieces<'k> {
    file: &'k File,
    pieces: Vec<Piece<'k>>,
}

impl Pieces<'_> {
    /// Copies them.
    pub(super) fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut rest = buffer;
        for piece in &self.pieces {
            let (filled, left) = std::mem::take(&mut rest).split_at_mut(length(piece)?);
            match piece.held() {
                Some(bytes) => filled.copy_from_slice(&bytes),
                None => self.file.read_exact_at(filled, piece.at)?,
            }
            rest = left;
        }
        Ok(())
    }

    /// Each of them.
    pub(super) fn all(&self) -> io::Result<Vec<Bytes>> {
        let bytes = |piece: &Piece<'_>| match piece.held() {
            Some(bytes) => Ok(bytes),
            None => {
                let mut buffer = vec![0; length(piece)?];
                self.file.read_exact_at(&mut buffer, piece.at)?;
                Ok(buffer.into())
            }
        };
        self.pieces.iter().map(bytes).collect()
    }

    /// All of them as one.
    pub(super) fn joined(&self, length: usize) -> io::Result<Bytes> {
        if let [piece] = &self.pieces[..]
            && let Some(bytes) = piece.held()
        {
            return Ok(bytes);
        }
        let mut buffer = vec![0; length];
        self.fill(&mut buffer)?;
        Ok(buffer.into())
    }
}

impl Piece<'_> {
    /// Its bytes, if they are in memory.
    fn held(&self) -> Option<Bytes> {
        let at = usize::try_from(self.at).ok()?;
        Some(self.run?.bytes.slice(at..at + usize::try_from(self.length).ok()?))
    }
}

fn length(piece: &Piece<'_>) -> io::Result<usize> {
    usize::try_from(piece.length).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 5 * BLOCK + 77;

    fn content() -> Bytes {
        (0..SIZE).map(|place| (place * 7 % 251) as u8).collect::<Vec<_>>().into()
    }

    /// Two runs: one of two blocks, and one of the rest, which is kept in the file if it is said so.
    fn kept(second_in_file: bool) -> Kept {
        let mut kept = Kept::new(SIZE, tempfile::tempfile().unwrap());
        kept.blocks.keep_all();
        let (content, cut) = (content(), 2 * BLOCK as usize);
        kept.keep(0, &content.slice(..cut)).unwrap();
        kept.keep(2 * BLOCK, &content.slice(cut..)).unwrap();
        if second_in_file {
            for place in 2..6 {
                let start = (place * BLOCK) as usize;
                let end = content.len().min(start + BLOCK as usize);
                kept.file.write_all_at(&content[start..end], place * BLOCK).unwrap();
                kept.runs.remove(&place);
            }
        }
        kept
    }

    #[test]
    fn bytes_are_the_same_wherever_they_are_kept() {
        for in_file in [false, true] {
            let (content, mut kept) = (content(), kept(in_file));
            for (offset, length) in [
                (0, 5),
                (3, 2 * BLOCK - 3),
                (BLOCK, 2 * BLOCK),
                (2 * BLOCK + 9, SIZE - 2 * BLOCK - 9),
                (0, SIZE),
                (SIZE, 0),
            ] {
                let due = content.slice(offset as usize..(offset + length) as usize);
                let wanted = offset / BLOCK..(offset + length).div_ceil(BLOCK);
                let places: Vec<u64> = wanted.map(|block| kept.blocks.arrived(block)).collect();
                let pieces = kept.pieces(offset, length as usize, &places);
                let mut filled = vec![0; length as usize];
                pieces.fill(&mut filled).unwrap();
                assert_eq!(filled, due, "{in_file} {offset} {length}");
                assert_eq!(pieces.joined(length as usize).unwrap(), due);
                let all = pieces.all().unwrap();
                assert!(all.len() <= 2);
                assert_eq!(all.concat(), due);
            }
        }
    }

    #[test]
    fn what_has_come_together_is_not_copied() {
        let (bytes, mut kept) = (content(), Kept::new(SIZE, tempfile::tempfile().unwrap()));
        kept.keep(0, &bytes).unwrap();
        let read = kept.pieces(9, 3 * BLOCK as usize, &[0, 1, 2, 3]).joined(3 * BLOCK as usize).unwrap();
        assert_eq!(read.as_ptr(), bytes[9..].as_ptr());
    }

    #[test]
    fn there_is_room_for_so_much() {
        assert!(Room::take(HELD + 1).is_none());
        let room = Room::take(1000);
        assert!(room.is_some());
    }
}
