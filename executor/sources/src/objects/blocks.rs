//! Which blocks of an object are at hand, and which are to be fetched. Pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

/// Bytes of a block.
pub(super) const BLOCK: u64 = 1 << 18;
/// How many blocks one request gets at most: 8 MiB.
const REQUEST: u64 = 32;
/// How many blocks are fetched ahead at most, for whoever reads on: 32 MiB.
const AHEAD: u64 = 128;
/// How many blocks are kept: 1 GiB.
const KEPT: usize = 4096;

/// What is to be done before blocks can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// They are at hand, at these places.
    Read(Vec<u64>),
    /// Somebody else is fetching some of them.
    Wait,
    /// These are to be fetched, and count as being fetched now.
    Fetch(Vec<Range<u64>>),
}

/// The blocks of one object, by number. Places are those of a file that holds what was fetched.
#[derive(Debug)]
pub(super) struct Blocks {
    /// How many the object has.
    count: u64,
    /// How many are kept.
    most: usize,
    places: HashMap<u64, u64>,
    /// Blocks at hand, the oldest first.
    order: VecDeque<u64>,
    fetching: HashSet<u64>,
    /// Behind the last block that was asked for.
    next: u64,
    /// How many blocks are fetched ahead, while blocks are asked for in their order.
    ahead: u64,
}

impl Blocks {
    /// Those of an object of this size.
    pub(super) fn new(size: u64) -> Self {
        Self {
            count: size.div_ceil(BLOCK),
            most: KEPT,
            places: HashMap::new(),
            order: VecDeque::new(),
            fetching: HashSet::new(),
            next: 0,
            ahead: 0,
        }
    }

    /// Keeps all blocks from now on.
    pub(super) fn keep_all(&mut self) {
        self.most = usize::MAX;
    }

    /// What is to be done to read these blocks.
    pub(super) fn ask(&mut self, wanted: Range<u64>) -> Step {
        let places: Option<Vec<u64>> = wanted.clone().map(|block| self.places.get(&block).copied()).collect();
        if let Some(places) = places {
            self.next = wanted.end;
            return Step::Read(places);
        }
        if wanted.clone().any(|block| self.fetching.contains(&block)) {
            return Step::Wait;
        }
        self.ahead =
            if (wanted.start..=wanted.start + 1).contains(&self.next) { (2 * self.ahead + 1).min(AHEAD) } else { 0 };
        let end = (wanted.end + self.ahead).min(self.count);
        let mut runs: Vec<Range<u64>> = Vec::new();
        for block in
            (wanted.start..end).filter(|block| !self.places.contains_key(block) && !self.fetching.contains(block))
        {
            match runs.last_mut() {
                Some(run) if run.end == block && run.end - run.start < REQUEST => run.end += 1,
                _ => runs.push(block..block + 1),
            }
        }
        self.fetching.extend(runs.iter().cloned().flatten());
        Step::Fetch(runs)
    }

    /// Takes in that a block has arrived; gives its place. The oldest block makes room for it.
    pub(super) fn arrived(&mut self, block: u64) -> u64 {
        self.fetching.remove(&block);
        if let Some(&place) = self.places.get(&block) {
            return place;
        }
        let freed = if self.order.len() >= self.most { self.order.pop_front() } else { None };
        let freed = freed.and_then(|oldest| self.places.remove(&oldest));
        let place = freed.unwrap_or(self.places.len() as u64);
        self.places.insert(block, place);
        self.order.push_back(block);
        place
    }

    /// Takes in that blocks will not arrive.
    pub(super) fn given_up(&mut self, runs: &[Range<u64>]) {
        for block in runs.iter().cloned().flatten() {
            self.fetching.remove(&block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fetches what is missing of these blocks; gives the first block of each request, and the one behind its last.
    fn fetch(blocks: &mut Blocks, wanted: Range<u64>) -> Vec<(u64, u64)> {
        let Step::Fetch(runs) = blocks.ask(wanted) else { panic!("nothing to fetch") };
        for block in runs.iter().cloned().flatten() {
            blocks.arrived(block);
        }
        runs.into_iter().map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn whoever_reads_on_gets_more_and_more_ahead() {
        let mut blocks = Blocks::new(1000 * BLOCK);
        assert_eq!(fetch(&mut blocks, 0..1), [(0, 2)]);
        assert_eq!(blocks.ask(1..2), Step::Read(vec![1]));
        assert_eq!(fetch(&mut blocks, 2..3), [(2, 6)]);
        assert!(matches!(blocks.ask(3..6), Step::Read(_)));
        assert_eq!(fetch(&mut blocks, 6..7), [(6, 14)]);
        assert_eq!(fetch(&mut blocks, 500..501), [(500, 501)], "a jump fetches what is asked for");
        blocks.ask(500..501);
        assert_eq!(fetch(&mut blocks, 501..502), [(501, 503)], "and begins anew");
    }

    #[test]
    fn requests_are_of_bounded_size_and_end_with_the_object() {
        let mut blocks = Blocks::new(99 * BLOCK + 1);
        assert_eq!(fetch(&mut blocks, 20..90), [(20, 52), (52, 84), (84, 90)]);
        assert_eq!(fetch(&mut blocks, 10..100), [(10, 20), (90, 100)]);
    }

    #[test]
    fn what_is_being_fetched_is_waited_for() {
        let mut blocks = Blocks::new(100 * BLOCK);
        let Step::Fetch(runs) = blocks.ask(50..52) else { panic!() };
        assert_eq!(blocks.ask(51..53), Step::Wait);
        blocks.given_up(&runs);
        assert!(matches!(blocks.ask(51..53), Step::Fetch(_)));
    }

    #[test]
    fn the_oldest_blocks_make_room() {
        let mut blocks = Blocks { most: 2, ..Blocks::new(100 * BLOCK) };
        assert_eq!([7, 8, 9, 7].map(|block| blocks.arrived(block)), [0, 1, 0, 1]);
        assert_eq!(blocks.ask(9..10), Step::Read(vec![0]));
        assert!(matches!(blocks.ask(8..9), Step::Fetch(_)));
    }
}
