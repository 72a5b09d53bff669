//! Content-defined cuts of text: where a segment ends depends on the bytes near that place alone, so that an insertion
//! moves the cuts next to it and no others.

use crate::text::framing::Framing;

/// Where a segment may end, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutSizes {
    /// No segment but a file's last is shorter.
    pub(crate) least: usize,
    /// The mean distance from `least` to the cut.
    pub(crate) spread: usize,
    /// A segment ends at the last record end before this, if there is one after `least`.
    pub(crate) most: usize,
}

/// The sizes of version 1 of the text readers. Changing them moves every segment of every text file.
pub(crate) const CUT_SIZES: CutSizes = CutSizes { least: 4 << 20, spread: 3 << 20, most: 16 << 20 };

/// How many bytes before a record's end decide whether it is a cut.
const WINDOW: usize = 64;

/// Finds the end of one segment in bytes that arrive bit by bit.
#[derive(Debug)]
pub(crate) struct Cutter {
    framing: Framing,
    sizes: CutSizes,
    /// A record end up to which no cut was found.
    seen: usize,
}

impl Cutter {
    /// A search that starts at a segment's first byte.
    pub(crate) fn new(framing: Framing, sizes: CutSizes) -> Self {
        Self { framing, sizes, seen: 0 }
    }

    /// The segment's length, or `None` when more bytes are needed to tell. `bytes` starts with the segment and is what
    /// it was at the last call with more at its end; `complete` says that nothing follows.
    pub(crate) fn cut(&mut self, bytes: &[u8], complete: bool) -> Option<usize> {
        while let Some(end) = self.next_end(bytes) {
            if end > self.sizes.most && self.seen >= self.sizes.least {
                return Some(self.seen);
            }
            if self.is_cut(bytes, end) {
                return Some(end);
            }
            self.seen = end;
        }
        complete.then(|| self.last(bytes.len()))
    }

    /// How far no cut was found, at a record end: what comes after is searched again.
    pub(crate) fn seen(&self) -> usize {
        self.seen
    }

    fn next_end(&self, bytes: &[u8]) -> Option<usize> {
        if self.seen < self.sizes.least {
            return self.framing.end_after(bytes, self.seen, self.sizes.least);
        }
        self.framing.record(bytes, self.seen).map(|record| record.end)
    }

    /// The first record end after `least` is no candidate: its length is unknown.
    fn is_cut(&self, bytes: &[u8], end: usize) -> bool {
        let is_candidate = self.seen >= self.sizes.least && bytes[end - 1] == b'\n';
        // A long record is as likely to end a segment as many short ones, so that segments have the same mean length.
        let share = (u64::MAX / self.sizes.spread as u64).saturating_mul((end - self.seen) as u64);
        is_candidate && window_hash(&bytes[end.saturating_sub(WINDOW)..end]) < share
    }

    /// What is left of a file is one segment, unless that is too long.
    fn last(&self, length: usize) -> usize {
        if length > self.sizes.most && self.seen >= self.sizes.least { self.seen } else { length }
    }
}

/// A cheap hash of a few bytes, well mixed in its high bits.
fn window_hash(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let wide = u128::from(hash ^ u64::from_le_bytes(word)) * u128::from(PRIME);
        hash = (wide as u64) ^ ((wide >> 64) as u64);
    }
    (hash ^ (hash >> 29)).wrapping_mul(PRIME)
}
