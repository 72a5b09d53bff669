//! Where words may begin and end, a block of text at a time.
//!
//! The rows lie one behind the other without anything between them, so a set of bits says where each begins: words
//! never cross rows. What is not ASCII counts as part of a word here; whoever gets the word looks closer.

use crate::mask::{BLOCK, Mask};

/// Finds the words of some rows.
pub(crate) struct Edges<'a> {
    values: &'a [u8],
    start: usize,
    end: usize,
    /// One bit per byte from `start` on, up to and with `end`: whether a row begins there.
    breaks: Vec<u64>,
    next: usize,
    /// The word that goes on into the next block.
    open: Option<Open>,
}

/// A word without its end.
#[derive(Clone, Copy)]
struct Open {
    start: usize,
    may_be_other: bool,
}

impl<'a> Edges<'a> {
    /// The words of the rows between these offsets into `values`; the last offset is the last row's end.
    pub(crate) fn new(values: &'a [u8], offsets: &[i32]) -> Self {
        let at = |offset: Option<&i32>| offset.map_or(0, |&offset| offset as usize);
        let (start, end) = (at(offsets.first()), at(offsets.last()));
        let mut breaks = vec![0; (end - start) / BLOCK + 1];
        for &offset in offsets {
            let place = offset as usize - start;
            breaks[place / BLOCK] |= 1 << (place % BLOCK);
        }
        Self { values, start, end, breaks, next: 0, open: None }
    }

    /// Gives start and end of each word that ends in the next block, and whether there may be more than ASCII in it.
    /// Says whether there was a block.
    #[inline]
    pub(crate) fn block(&mut self, mut give: impl FnMut(usize, usize, bool)) -> bool {
        let Some(&breaks) = self.breaks.get(self.next) else { return false };
        let base = self.start + self.next * BLOCK;
        self.next += 1;
        let mask = self.mask(base);
        let words = mask.plain | mask.other;
        let before = words << 1 | u64::from(self.open.is_some());
        let mut starts = words & (!before | breaks);
        let mut ends = before & (!words | breaks);
        let may_be_other = mask.other != 0 || self.open.is_some_and(|open| open.may_be_other);
        let mut word = self.open.map_or_else(|| base + take(&mut starts), |open| open.start);
        while ends != 0 {
            give(word, base + take(&mut ends), may_be_other);
            word = base + take(&mut starts);
        }
        self.open = (words >> (BLOCK - 1) == 1).then_some(Open { start: word, may_be_other });
        true
    }

    #[inline]
    fn mask(&self, base: usize) -> Mask {
        let left = &self.values[base..self.end];
        if let Some(block) = left.first_chunk() {
            return Mask::of(block);
        }
        let mut block = [0; BLOCK];
        block[..left.len()].copy_from_slice(left);
        Mask::of(&block)
    }
}

/// Takes the lowest bit: its number, or [`BLOCK`] if there is none.
#[inline]
fn take(bits: &mut u64) -> usize {
    let lowest = bits.trailing_zeros() as usize;
    *bits &= bits.wrapping_sub(1);
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(rows: &[&str]) -> Vec<(String, bool)> {
        let values = rows.concat();
        let mut offsets = vec![0];
        rows.iter().for_each(|row| offsets.push(offsets[offsets.len() - 1] + row.len() as i32));
        let mut edges = Edges::new(values.as_bytes(), &offsets);
        let mut words = Vec::new();
        while edges.block(|start, end, other| words.push((values[start..end].to_owned(), other))) {}
        words
    }

    fn plain(words: &[&str]) -> Vec<(String, bool)> {
        words.iter().map(|word| ((*word).to_owned(), false)).collect()
    }

    #[test]
    fn words_end_with_their_row() {
        assert_eq!(words(&["ab", "", "c d", "e"]), plain(&["ab", "c", "d", "e"]));
        assert!(words(&["", "--", ""]).is_empty() && words(&[]).is_empty());
    }

    #[test]
    fn words_cross_blocks_and_end_at_their_edges() {
        for length in [63, 64, 65, 127, 128, 129, 300] {
            let long = "x".repeat(length);
            assert_eq!(words(&[&long]), plain(&[&long]), "{length}");
            assert_eq!(words(&[&long, &long]), plain(&[&long, &long]), "{length}");
            assert_eq!(words(&[&format!("{long} y")]), plain(&[&long, "y"]), "{length}");
        }
    }

    #[test]
    fn a_word_that_is_not_ascii_is_marked_wherever_it_ends() {
        let long = format!("é{}", "x".repeat(200));
        assert_eq!(words(&[&long]), [(long.clone(), true)]);
        let late = format!("{} y", long);
        assert_eq!(words(&["a ", &late])[1], (long, true));
    }
}
