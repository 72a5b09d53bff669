//! Which offsets of a partition a source reads, and the blocks that they are in.

use std::ops::Range;

use flowc_planner::plan::{Bounds, KafkaTopic, Position};

/// What a cluster says of a partition.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The partition's number.
    pub(super) partition: i32,
    /// The offsets that it has, and that may be read.
    pub(super) offsets: Range<i64>,
    /// The first record at or after the time of `start`, where that is a time.
    pub(super) at_start: Option<i64>,
    /// The first record at or after the time of `until`, where that is a time.
    pub(super) at_until: Option<i64>,
}

/// What is to be read of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// The offsets.
    pub(super) offsets: Range<i64>,
    /// Whether they stay the same however the partition grows.
    pub(super) closed: bool,
}

/// Why there is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Retention removed what comes before this offset.
    Forgotten { from: i64, earliest: i64 },
    /// The partition ends before this offset.
    Ahead { wanted: i64, end: i64 },
}

/// The range of a partition. `known` is where an earlier poll found its start: it stays there, though the topic may have
/// forgotten what came first since.
pub(super) fn resolve(topic: &KafkaTopic, facts: &Facts, known: Option<i64>) -> Result<Resolved, Misfit> {
    let Range { start: low, end } = facts.offsets;
    let start = match stated(&topic.start, facts.partition) {
        Some(from) if known != Some(from) && from < low => return Err(Misfit::Forgotten { from, earliest: low }),
        Some(from) if from > end => return Err(Misfit::Ahead { wanted: from, end }),
        Some(from) => from,
        None => known.unwrap_or(match topic.start.position {
            Position::Earliest => low,
            Position::Latest => end,
            Position::Time(_) => facts.at_start.map_or(end, |found| found.min(end)),
        }),
    };
    let (until, closed) = match stated(&topic.until, facts.partition) {
        Some(until) if until > end => return Err(Misfit::Ahead { wanted: until, end }),
        Some(until) => (until, true),
        None => match (topic.until.position, facts.at_until) {
            (Position::Earliest, _) => (low, false),
            (Position::Time(_), Some(found)) if found <= end => (found, true),
            _ => (end, false),
        },
    };
    Ok(Resolved { offsets: start..until.max(start), closed })
}

/// The offset that the text states for a partition.
fn stated(bounds: &Bounds, partition: i32) -> Option<i64> {
    bounds.offsets.get(&partition).copied()
}

/// A range as blocks: cut where offsets are multiples of `block`. An empty range is one empty block, so that its start is
/// known later.
pub(super) fn blocks(range: Range<i64>, block: u64) -> Vec<Range<i64>> {
    let block = i64::try_from(block).unwrap_or(i64::MAX);
    let (mut blocks, mut from) = (Vec::new(), range.start);
    while from < range.end || blocks.is_empty() {
        let next = from.div_euclid(block).saturating_add(1).saturating_mul(block).min(range.end);
        blocks.push(from..next);
        from = next;
    }
    blocks
}

/// The name of a block: `bids-0-262144` begins at that offset of partition 0.
pub(super) fn name(topic: &str, partition: i32, from: i64) -> String {
    format!("{topic}-{partition}-{from}")
}

/// The partition and the first offset in the name of a block.
pub(super) fn place(name: &str) -> Option<(i32, i64)> {
    let mut parts = name.rsplitn(3, '-');
    let (from, partition) = (parts.next()?, parts.next()?);
    Some((partition.parse().ok()?, from.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::log::testing::topic;

    fn facts(offsets: Range<i64>) -> Facts {
        Facts { partition: 0, offsets, at_start: None, at_until: None }
    }

    fn bounds(position: Position, offset: Option<i64>) -> Bounds {
        Bounds { position, offsets: offset.map(|offset| (0, offset)).into_iter().collect::<BTreeMap<_, _>>() }
    }

    fn ranged(start: Bounds, until: Bounds) -> KafkaTopic {
        KafkaTopic { start, until, ..topic() }
    }

    #[test]
    fn a_range_ends_at_the_end_of_the_partition_unless_it_is_closed() {
        let open = ranged(bounds(Position::Earliest, None), bounds(Position::Latest, None));
        assert_eq!(resolve(&open, &facts(3..10), None), Ok(Resolved { offsets: 3..10, closed: false }));
        let closed = ranged(bounds(Position::Earliest, None), bounds(Position::Latest, Some(8)));
        assert_eq!(resolve(&closed, &facts(3..10), None), Ok(Resolved { offsets: 3..8, closed: true }));
    }

    #[test]
    fn a_start_that_was_found_stays_though_the_topic_forgets() {
        let open = ranged(bounds(Position::Earliest, None), bounds(Position::Latest, None));
        assert_eq!(resolve(&open, &facts(7..12), Some(3)).unwrap().offsets, 3..12);
        let fixed = ranged(bounds(Position::Earliest, Some(3)), bounds(Position::Latest, None));
        assert_eq!(resolve(&fixed, &facts(7..12), Some(3)).unwrap().offsets, 3..12);
        assert_eq!(resolve(&fixed, &facts(7..12), None), Err(Misfit::Forgotten { from: 3, earliest: 7 }));
        let latest = ranged(bounds(Position::Latest, None), bounds(Position::Latest, None));
        assert_eq!(resolve(&latest, &facts(0..5), None).unwrap().offsets, 5..5);
        assert_eq!(resolve(&latest, &facts(0..9), Some(5)).unwrap().offsets, 5..9);
    }

    #[test]
    fn what_the_partition_does_not_have_yet_is_refused() {
        let ahead = ranged(bounds(Position::Earliest, None), bounds(Position::Latest, Some(11)));
        assert_eq!(resolve(&ahead, &facts(0..10), None), Err(Misfit::Ahead { wanted: 11, end: 10 }));
        let ahead = ranged(bounds(Position::Earliest, Some(11)), bounds(Position::Latest, None));
        assert_eq!(resolve(&ahead, &facts(0..10), None), Err(Misfit::Ahead { wanted: 11, end: 10 }));
    }

    #[test]
    fn a_time_closes_a_range_once_a_record_has_it() {
        let timed = ranged(bounds(Position::Time(5), None), bounds(Position::Time(9), None));
        let found = Facts { at_start: Some(2), at_until: Some(6), ..facts(0..10) };
        assert_eq!(resolve(&timed, &found, None), Ok(Resolved { offsets: 2..6, closed: true }));
        let not_yet = Facts { at_start: Some(2), ..facts(0..10) };
        assert_eq!(resolve(&timed, &not_yet, None), Ok(Resolved { offsets: 2..10, closed: false }));
        // The record belongs to a transaction that is open.
        let open = Facts { at_start: Some(2), at_until: Some(12), ..facts(0..10) };
        assert_eq!(resolve(&timed, &open, None), Ok(Resolved { offsets: 2..10, closed: false }));
        let later = Facts { at_start: Some(8), at_until: Some(6), ..facts(0..10) };
        assert_eq!(resolve(&timed, &later, None), Ok(Resolved { offsets: 8..8, closed: true }));
    }

    #[test]
    fn blocks_are_aligned_whatever_the_range() {
        assert_eq!(blocks(0..8, 4), [0..4, 4..8]);
        assert_eq!(blocks(3..9, 4), [3..4, 4..8, 8..9]);
        for empty in [5..5, 8..8] {
            assert_eq!(blocks(empty.clone(), 4), [empty]);
        }
    }

    #[test]
    fn a_name_tells_its_place() {
        assert_eq!(place(&name("a-topic.with-dashes", 12, 262_144)), Some((12, 262_144)));
        assert_eq!(place("no-place"), None);
    }
}
