//! The words of a column of text, written one after the other.

use std::ops::Range;

use flowc_sdk::Result;
use flowc_sdk::arrow::array::{Array, StringArray};
use flowc_sdk::arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

use crate::edges::Edges;
use crate::letters::Letters;

/// Words in a batch at most, but for those of one block of text.
const MAX_WORDS: usize = flowc_sdk::MAX_ROWS;
/// Bytes of words in a batch at most, but for those of one block of text.
const MAX_BYTES: usize = 512 * 1024;
/// Bytes that are copied at once: most words need one copy.
const STEP: usize = 16;
/// What makes an ASCII letter a small one, and leaves a digit as it is.
const SMALL: u8 = 0x20;

/// Takes words, and their rows if wanted.
type Give<'g> = dyn FnMut(StringArray, Vec<u32>) -> Result<()> + 'g;

/// Splits a column of text.
pub(crate) struct Words<'a> {
    text: &'a StringArray,
    letters: &'a mut Letters,
    lowercase: bool,
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    /// The row of each word, if wanted.
    rows: Option<Vec<u32>>,
    /// The row of the last word.
    row: usize,
}

impl<'a> Words<'a> {
    pub(crate) fn new(text: &'a StringArray, letters: &'a mut Letters, lowercase: bool, with_rows: bool) -> Self {
        let rows = with_rows.then(Vec::new);
        let mut words = Self { text, letters, lowercase, bytes: Vec::new(), offsets: Vec::new(), rows, row: 0 };
        words.start_batch();
        words
    }

    /// Gives all words, in batches of bounded size.
    pub(crate) fn split(mut self, give: &mut Give<'_>) -> Result<()> {
        for rows in runs(self.text) {
            self.split_rows(rows, give)?;
        }
        if self.offsets.len() > 1 { self.flush(give) } else { Ok(()) }
    }

    fn split_rows(&mut self, rows: Range<usize>, give: &mut Give<'_>) -> Result<()> {
        let (text, small) = (self.text, if self.lowercase { SMALL } else { 0 });
        let values = text.values().as_slice();
        let mut edges = Edges::new(values, &text.value_offsets()[rows.start..=rows.end]);
        while edges.block(|start, end, may_be_other| match may_be_other {
            false => self.plain(values, start, end, small),
            true => self.any(values, start, end, small),
        }) {
            self.make_room(give)?;
        }
        Ok(())
    }

    /// A word of ASCII, copied in one step if it is short: what is copied beyond its end is cut off.
    #[inline]
    fn plain(&mut self, values: &[u8], start: usize, end: usize, small: u8) {
        let (length, before) = (end - start, self.bytes.len());
        match values[start..].first_chunk::<STEP>() {
            Some(step) if length <= STEP => {
                self.bytes.extend_from_slice(&step.map(|byte| byte | small));
                self.bytes.truncate(before + length);
            }
            _ => self.bytes.extend(values[start..end].iter().map(|byte| byte | small)),
        }
        self.end_word(start);
    }

    /// Text without ASCII that is neither letter nor digit: perhaps a word, perhaps several, perhaps none.
    #[inline(never)]
    fn any(&mut self, values: &[u8], start: usize, end: usize, small: u8) {
        if values[start..end].is_ascii() {
            return self.plain(values, start, end, small);
        }
        let mut before = self.bytes.len();
        for c in String::from_utf8_lossy(&values[start..end]).chars() {
            match self.letters.has(c) {
                true => self.push_char(c),
                false => before = self.end_other(before, start),
            }
        }
        self.end_other(before, start);
    }

    /// Ends the word that began when there were `before` bytes, if there is one. Gives the bytes that there are now.
    fn end_other(&mut self, before: usize, start: usize) -> usize {
        if self.bytes.len() > before {
            self.end_word(start);
        }
        self.bytes.len()
    }

    fn push_char(&mut self, c: char) {
        let mut push = |c: char| self.bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        match (self.lowercase, c.is_ascii()) {
            (true, true) => push(c.to_ascii_lowercase()),
            (true, false) => c.to_lowercase().for_each(push),
            (false, _) => push(c),
        }
    }

    /// Notes a word whose text began at `start`.
    #[inline]
    fn end_word(&mut self, start: usize) {
        self.offsets.push(self.bytes.len() as i32);
        if let Some(rows) = &mut self.rows {
            let ends = &self.text.value_offsets()[1..];
            while ends[self.row] as usize <= start {
                self.row += 1;
            }
            rows.push(self.row as u32);
        }
    }

    /// Gives what is there if it is enough.
    #[inline]
    fn make_room(&mut self, give: &mut Give<'_>) -> Result<()> {
        if self.offsets.len() > MAX_WORDS || self.bytes.len() >= MAX_BYTES { self.flush(give) } else { Ok(()) }
    }

    /// Room for a batch, so that little is moved while it fills.
    fn start_batch(&mut self) {
        let text = self.text.values().len();
        self.bytes = Vec::with_capacity(text.min(MAX_BYTES) + 2 * STEP);
        self.offsets = Vec::with_capacity((text / 4).min(MAX_WORDS) + 2 * STEP);
        self.offsets.push(0);
    }

    #[inline(never)]
    fn flush(&mut self, give: &mut Give<'_>) -> Result<()> {
        let offsets = ScalarBuffer::from(std::mem::take(&mut self.offsets));
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        // SAFETY: offsets ascend by construction, and words are whole characters of valid text.
        let words = unsafe { StringArray::new_unchecked(OffsetBuffer::new_unchecked(offsets), bytes, None) };
        give(words, self.rows.as_mut().map(std::mem::take).unwrap_or_default())?;
        self.start_batch();
        Ok(())
    }
}

/// The rows that are not null, as runs.
fn runs(text: &StringArray) -> Vec<Range<usize>> {
    match text.nulls() {
        Some(nulls) => nulls.valid_slices().map(|(start, end)| start..end).collect(),
        None => std::iter::once(0..text.len()).collect(),
    }
}
