//! Content-defined cuts of rows: where a segment ends depends on the rows near that place alone, so that an insertion moves the
//! cuts near it and no others. Pure.

/// Where a segment may end, in bytes of its rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowCuts {
    /// No segment but the last is shorter.
    pub(super) least: usize,
    /// The mean distance from `least` to the cut.
    pub(super) spread: usize,
    /// A segment ends before the row with which it would be longer.
    pub(super) most: usize,
}

/// The sizes of version 1 of this reader. Changing them moves every segment of every database.
pub(super) const ROW_CUTS: RowCuts = RowCuts { least: 1 << 20, spread: 1 << 20, most: 8 << 20 };

/// Says row by row where segments end.
#[derive(Debug)]
pub(super) struct RowCutter {
    cuts: RowCuts,
    /// Bytes of the segment so far.
    bytes: usize,
}

/// Where a segment ends, seen from a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// No segment ends at the row.
    None,
    /// A segment ends before the row.
    Before,
    /// A segment ends with the row.
    Behind,
}

impl RowCutter {
    /// At the start of the first segment.
    pub(super) fn new(cuts: RowCuts) -> Self {
        Self { cuts, bytes: 0 }
    }

    /// Takes in a row, all of whose values are in these bytes.
    pub(super) fn push(&mut self, row: &[u8]) -> Cut {
        let RowCuts { least, spread, most } = self.cuts;
        let length = row.len().max(1);
        let is_full = self.bytes > 0 && self.bytes + length > most;
        if is_full {
            self.bytes = 0;
        }
        self.bytes += length;
        // A long row is as likely to end a segment as many short ones, so that segments have the same mean length.
        let share = (u64::MAX / spread as u64).saturating_mul(length as u64);
        if self.bytes >= least && !is_full && hash(row) < share {
            self.bytes = 0;
            return Cut::Behind;
        }
        if is_full { Cut::Before } else { Cut::None }
    }
}

/// A cheap hash of bytes, well mixed in its high bits.
fn hash(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9E37_79B9_7F4A_7C15;
    let mix = |hash: u64, word: [u8; 8]| {
        let wide = u128::from(hash ^ u64::from_le_bytes(word)) * u128::from(PRIME);
        (wide as u64) ^ ((wide >> 64) as u64)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64 ^ PRIME, |hash, word| mix(hash, *word));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash = mix(hash, last);
    (hash ^ (hash >> 29)).wrapping_mul(PRIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: RowCuts = RowCuts { least: 200, spread: 200, most: 1600 };

    /// The segments of some rows.
    fn segments(rows: &[Vec<u8>]) -> Vec<Vec<Vec<u8>>> {
        let mut cutter = RowCutter::new(SMALL);
        let (mut all, mut current) = (Vec::new(), Vec::new());
        for row in rows {
            match cutter.push(row) {
                Cut::None => current.push(row.clone()),
                Cut::Before => all.push(std::mem::replace(&mut current, vec![row.clone()])),
                Cut::Behind => {
                    current.push(row.clone());
                    all.push(std::mem::take(&mut current));
                }
            }
        }
        all.push(current);
        all
    }

    fn rows(count: u32) -> Vec<Vec<u8>> {
        (0..count).map(|n| format!("row {n} of a table").into_bytes()).collect()
    }

    #[test]
    fn an_inserted_row_moves_the_cuts_near_it_alone() {
        let before = rows(2000);
        let cut = segments(&before);
        assert!((40..200).contains(&cut.len()), "{}", cut.len());
        for place in [0, 1, 777, 1999, 2000] {
            let mut after = before.clone();
            after.insert(place, b"another row".to_vec());
            let now = segments(&after);
            let new = now.iter().filter(|segment| !cut.contains(segment)).count();
            assert!(new <= 4, "{place}: {new} of {}", now.len());
            assert_eq!(now.concat(), after);
        }
    }

    #[test]
    fn segments_have_a_least_and_a_most_length() {
        let equal = vec![vec![7; 90]; 500];
        for segment in [segments(&rows(2000)), segments(&equal)].iter().flat_map(|all| &all[..all.len() - 1]) {
            let bytes: usize = segment.iter().map(Vec::len).sum();
            assert!((SMALL.least..=SMALL.most).contains(&bytes), "{bytes}");
        }
        let long = vec![vec![1; 5000], vec![2; 10], vec![3; 5000]];
        assert_eq!(segments(&long).concat(), long);
    }
}
