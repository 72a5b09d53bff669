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
    /// These are to be fetched.
    Fetch(Vec<Range<u64>>),
}

/// An answer to who wants to read blocks. What is to be fetched counts as being fetched from now on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) step: Step,
    /// What is to be fetched meanwhile, for whoever reads on.
    pub(super) ahead: Vec<Range<u64>>,
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
    /// Behind the last block that is fetched ahead.
    frontier: u64,
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
            frontier: 0,
        }
    }

    /// Keeps all blocks from now on.
    pub(super) fn keep_all(&mut self) {
        self.most = usize::MAX;
    }

    /// What is to be done to read these blocks.
    pub(super) fn ask(&mut self, wanted: Range<u64>) -> Answer {
        let places: Option<Vec<u64>> = wanted.clone().map(|block| self.places.get(&block).copied()).collect();
        let step = match places {
            Some(places) => Step::Read(places),
            None if wanted.clone().any(|block| self.fetching.contains(&block)) => Step::Wait,
            None => Step::Fetch(self.begin(wanted.clone())),
        };
        let goes_on = (wanted.start..=wanted.start + 1).contains(&self.next);
        if matches!(step, Step::Read(_)) && !goes_on {
            // Either the blocks of a jump have arrived, or somebody reads again what was fetched, while another reads on.
            if (self.ahead, self.frontier) == (0, wanted.end) {
                self.next = wanted.end;
            }
            return Answer { step, ahead: Vec::new() };
        }
        let ahead = self.reach(&wanted, goes_on);
        if matches!(step, Step::Read(_)) {
            self.next = wanted.end;
        }
        Answer { step, ahead }
    }

    /// The next stretch ahead of these blocks, once half of the last one was read.
    fn reach(&mut self, wanted: &Range<u64>, goes_on: bool) -> Vec<Range<u64>> {
        if !goes_on {
            (self.ahead, self.frontier) = (0, wanted.end);
            return Vec::new();
        }
        if self.frontier > wanted.end + self.ahead / 2 {
            return Vec::new();
        }
        self.ahead = (2 * self.ahead + 1).min(AHEAD);
        self.frontier = (wanted.end + self.ahead).min(self.count);
        self.begin(wanted.end..self.frontier)
    }

    /// Those of some blocks that are not at hand, in runs; they count as being fetched.
    fn begin(&mut self, blocks: Range<u64>) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let is_missing = |block: &u64| !self.places.contains_key(block) && !self.fetching.contains(block);
        for block in blocks.filter(is_missing) {
            match runs.last_mut() {
                Some(run) if run.end == block && run.end - run.start < REQUEST => run.end += 1,
                _ => runs.push(block..block + 1),
            }
        }
        self.fetching.extend(runs.iter().cloned().flatten());
        runs
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

    /// Fetches what is missing of these blocks, and what is ahead; gives the first block of each request, and the one behind its last.
    fn fetch(blocks: &mut Blocks, wanted: Range<u64>) -> [Vec<(u64, u64)>; 2] {
        let Answer { step: Step::Fetch(runs), ahead } = blocks.ask(wanted) else { panic!("nothing to fetch") };
        for block in runs.iter().chain(&ahead).cloned().flatten() {
            blocks.arrived(block);
        }
        [runs, ahead].map(|runs| runs.into_iter().map(|run| (run.start, run.end)).collect())
    }

    #[test]
    fn whoever_reads_on_gets_more_and_more_ahead() {
        let mut blocks = Blocks::new(1000 * BLOCK);
        assert_eq!(fetch(&mut blocks, 0..1), [vec![(0, 1)], vec![(1, 2)]]);
        assert_eq!(blocks.ask(0..1), Answer { step: Step::Read(vec![0]), ahead: vec![] });
        // Where nothing is left of a stretch, the next one is twice as long.
        let read = blocks.ask(1..2);
        let stretch = |blocks: Range<u64>| std::iter::once(blocks).collect::<Vec<_>>();
        assert_eq!(read, Answer { step: Step::Read(vec![1]), ahead: stretch(2..5) });
        (2..5).for_each(|block| _ = blocks.arrived(block));
        assert_eq!(blocks.ask(2..3).ahead, []);
        assert_eq!(blocks.ask(3..4).ahead, stretch(5..11), "half of it was read");
        assert_eq!(blocks.ask(0..2), Answer { step: Step::Read(vec![0, 1]), ahead: vec![] });
        (5..11).for_each(|block| _ = blocks.arrived(block));
        assert_eq!(blocks.ask(4..8).ahead, stretch(11..23), "somebody else has read other blocks meanwhile");
        assert_eq!(fetch(&mut blocks, 500..501), [vec![(500, 501)], vec![]], "a jump fetches what is asked for");
        blocks.ask(500..501);
        assert_eq!(fetch(&mut blocks, 501..502), [vec![(501, 502)], vec![(502, 503)]], "and begins anew");
    }

    #[test]
    fn requests_are_of_bounded_size_and_end_with_the_object() {
        let mut blocks = Blocks::new(99 * BLOCK + 1);
        assert_eq!(fetch(&mut blocks, 20..90), [vec![(20, 52), (52, 84), (84, 90)], vec![]]);
        assert_eq!(fetch(&mut blocks, 10..100), [vec![(10, 20), (90, 100)], vec![]]);
    }

    #[test]
    fn what_is_being_fetched_is_waited_for() {
        let mut blocks = Blocks::new(100 * BLOCK);
        let Step::Fetch(runs) = blocks.ask(50..52).step else { panic!() };
        assert_eq!(blocks.ask(51..53).step, Step::Wait);
        blocks.given_up(&runs);
        assert!(matches!(blocks.ask(51..53).step, Step::Fetch(_)));
    }

    #[test]
    fn the_oldest_blocks_make_room() {
        let mut blocks = Blocks { most: 2, ..Blocks::new(100 * BLOCK) };
        assert_eq!([7, 8, 9, 7].map(|block| blocks.arrived(block)), [0, 1, 0, 1]);
        assert_eq!(blocks.ask(9..10).step, Step::Read(vec![0]));
        assert!(matches!(blocks.ask(8..9).step, Step::Fetch(_)));
    }
}
