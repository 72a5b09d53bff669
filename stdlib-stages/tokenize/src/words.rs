//! The words of a column of text, written one after the other.

use flowc_sdk::Result;
use flowc_sdk::arrow::array::{Array, StringArray};
use flowc_sdk::arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use crate::mask::{self, BLOCK};

/// Words in a batch at most, but for those of one block.
const MAX_WORDS: usize = 32_768;
/// Bytes of words in a batch at most, but for those of one block.
const MAX_BYTES: usize = 512 * 1024;
/// Bytes that are copied at once: most words need one copy.
const STEP: usize = 16;

/// Splits a column of text.
pub(crate) struct Words<'a> {
    text: &'a StringArray,
    lowercase: bool,
    /// The text in the wanted case (ASCII only), and a block of padding so that reads need no care at the end.
    source: Vec<u8>,
    /// The words; bytes from `end` on are scratch.
    bytes: Vec<u8>,
    end: usize,
    offsets: Vec<i32>,
    /// The row of each word, if wanted.
    rows: Option<Vec<u32>>,
}

/// Takes words, and their rows if wanted.
type Give<'g> = dyn FnMut(StringArray, Vec<u32>) -> Result<()> + 'g;

impl<'a> Words<'a> {
    pub(crate) fn new(text: &'a StringArray, lowercase: bool, with_rows: bool) -> Self {
        let bytes = text.values().as_slice();
        let mut source = Vec::with_capacity(bytes.len() + BLOCK);
        source.extend_from_slice(bytes);
        if lowercase {
            source.make_ascii_lowercase();
        }
        source.resize(bytes.len() + BLOCK, 0);
        let rows = with_rows.then(Vec::new);
        Self { text, lowercase, source, bytes: Vec::new(), end: 0, offsets: vec![0], rows }
    }

    /// Gives all words, in batches of bounded size.
    pub(crate) fn split(mut self, give: &mut Give<'_>) -> Result<()> {
        let all_ascii = self.text.values().is_ascii();
        for (row, ends) in self.text.value_offsets().windows(2).enumerate() {
            let (start, end) = (ends[0] as usize, ends[1] as usize);
            if self.text.is_null(row) {
                continue;
            }
            match all_ascii || self.text.values()[start..end].is_ascii() {
                true => self.ascii(row, start, end, give)?,
                false => self.unicode(row, give)?,
            }
            self.note_row(row);
        }
        if self.offsets.len() > 1 { self.flush(give) } else { Ok(()) }
    }

    /// Finds the edges of words in a bit mask, block by block.
    fn ascii(&mut self, row: usize, start: usize, end: usize, give: &mut Give<'_>) -> Result<()> {
        let mut open = None;
        for base in (start..end).step_by(BLOCK) {
            self.make_room(row, BLOCK + open.map_or(0, |word| base - word), give)?;
            let mut edges = self.edges(base, end, open.is_some());
            while edges != 0 {
                let edge = base + edges.trailing_zeros() as usize;
                edges &= edges - 1;
                match open.take() {
                    Some(word) => self.push(word, edge),
                    None => open = Some(edge),
                }
            }
        }
        if let Some(word) = open {
            self.push(word, end);
        }
        Ok(())
    }

    /// Bits where a word begins or ends.
    fn edges(&self, base: usize, end: usize, open: bool) -> u64 {
        let mut block = [0; BLOCK];
        block.copy_from_slice(&self.source[base..base + BLOCK]);
        let within = match end - base {
            short @ 0..BLOCK => (1 << short) - 1,
            _ => u64::MAX,
        };
        let words = mask::words(&block) & within;
        words ^ (words << 1 | u64::from(open))
    }

    /// Copies a word, in steps: what is copied beyond its end is overwritten by the next.
    fn push(&mut self, start: usize, end: usize) {
        let length = end - start;
        for at in (0..length).step_by(STEP) {
            let mut step = [0; STEP];
            step.copy_from_slice(&self.source[start + at..start + at + STEP]);
            self.bytes[self.end + at..self.end + at + STEP].copy_from_slice(&step);
        }
        self.end += length;
        self.offsets.push(self.end as i32);
    }

    /// Any text, character by character.
    fn unicode(&mut self, row: usize, give: &mut Give<'_>) -> Result<()> {
        let text = self.text;
        for word in text.value(row).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            // Lower case takes at most three times the bytes.
            self.make_room(row, 3 * word.len(), give)?;
            match self.lowercase {
                true => word.chars().flat_map(char::to_lowercase).for_each(|c| self.push_char(c)),
                false => word.chars().for_each(|c| self.push_char(c)),
            }
            self.offsets.push(self.end as i32);
        }
        Ok(())
    }

    fn push_char(&mut self, c: char) {
        self.end += c.encode_utf8(&mut self.bytes[self.end..]).len();
    }

    /// Room for so many bytes more of words; gives what is there if it is enough.
    fn make_room(&mut self, row: usize, bytes: usize, give: &mut Give<'_>) -> Result<()> {
        if self.offsets.len() > MAX_WORDS || self.end >= MAX_BYTES {
            self.note_row(row);
            self.flush(give)?;
        }
        let due = self.end + bytes + STEP;
        if self.bytes.len() < due {
            self.bytes.resize(due.max(MAX_BYTES + 2 * BLOCK), 0);
        }
        Ok(())
    }

    fn note_row(&mut self, row: usize) {
        let words = self.offsets.len() - 1;
        if let Some(rows) = &mut self.rows {
            rows.resize(words, row as u32);
        }
    }

    fn flush(&mut self, give: &mut Give<'_>) -> Result<()> {
        let offsets = ScalarBuffer::from(std::mem::replace(&mut self.offsets, vec![0]));
        let bytes = Buffer::from(&self.bytes[..self.end]);
        self.end = 0;
        // SAFETY: offsets ascend by construction, and words are whole characters of valid text.
        let words = unsafe { StringArray::new_unchecked(OffsetBuffer::new_unchecked(offsets), bytes, None) };
        give(words, self.rows.as_mut().map(std::mem::take).unwrap_or_default())
    }
}
