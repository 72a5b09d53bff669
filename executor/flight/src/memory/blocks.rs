//! Which parts of a region are lent.

use std::collections::BTreeMap;

/// Blocks begin at multiples of it: buffers of Arrow are aligned so.
const ALIGNMENT: u64 = 64;

/// Divides a region into blocks, first fit.
#[derive(Debug)]
pub(super) struct Blocks {
    size: u64,
    /// Those that are lent: where they begin, and where they end.
    lent: BTreeMap<u64, u64>,
}

impl Blocks {
    /// Nothing of the region is lent.
    pub(super) fn new(size: u64) -> Self {
        Self { size, lent: BTreeMap::new() }
    }

    /// Lends so many bytes, and says where they begin. None if there is no such gap.
    pub(super) fn lend(&mut self, bytes: u64) -> Option<u64> {
        let mut start = 0;
        for (&from, &to) in &self.lent {
            if from - start >= bytes {
                break;
            }
            start = to.next_multiple_of(ALIGNMENT);
        }
        let end = start.checked_add(bytes).filter(|&end| bytes > 0 && end <= self.size)?;
        self.lent.insert(start, end);
        Some(start)
    }

    /// A block has come back. One that is not lent is of no interest.
    pub(super) fn take_back(&mut self, offset: u64) {
        self.lent.remove(&offset);
    }

    /// Whether nothing is lent.
    pub(super) fn is_whole(&self) -> bool {
        self.lent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled() {
        let mut blocks = Blocks::new(1000);
        assert_eq!([blocks.lend(100), blocks.lend(1), blocks.lend(700)], [Some(0), Some(128), Some(192)]);
        assert_eq!(blocks.lend(200), None);
        blocks.take_back(128);
        assert_eq!(
            [blocks.lend(65), blocks.lend(64), blocks.lend(104), blocks.lend(1)],
            [Some(896), Some(128), None, None]
        );
        [0, 128, 192, 896].into_iter().for_each(|offset| blocks.take_back(offset));
        assert!(blocks.is_whole());
        assert_eq!(
            [blocks.lend(0), blocks.lend(1001), blocks.lend(u64::MAX), blocks.lend(1000)],
            [None, None, None, Some(0)]
        );
    }

    #[test]
    fn lent_blocks_never_overlap() {
        let (mut blocks, mut random) = (Blocks::new(4096), 1_u64);
        for _ in 0..10_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (choice, value) = (random >> 60, (random >> 32) % 700);
            if choice < 9 {
                blocks.lend(value);
            } else if let Some(&offset) = blocks.lent.keys().nth(value as usize % blocks.lent.len().max(1)) {
                blocks.take_back(offset);
            }
            let ends = blocks.lent.values();
            assert!(ends.zip(blocks.lent.keys().skip(1)).all(|(end, next)| end <= next));
            assert!(blocks.lent.iter().all(|(from, to)| from % ALIGNMENT == 0 && *to <= 4096));
        }
    }
}
