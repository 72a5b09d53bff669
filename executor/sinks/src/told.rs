//! Rows that may have been appended before: how many of the first rows of new segments are those of segments that are gone.
//!
//! Where segments end says nothing of rows: what was read in three steps may be read in one when it is read again, and be cut elsewhere.
//! So segments that are gone are looked for in the rows of those that are new, one behind the other, wherever these end.

use std::collections::HashMap;
use std::io;

use crate::error::SinkError;
use crate::matching::Appended;
use crate::spool::{Piece, Spool};

/// How many bytes the first row has of several; none if they do not begin with one.
pub(crate) type FirstRow = fn(&[u8]) -> Option<usize>;

/// The rows of a new segment, by what tells them from others.
pub(crate) struct ToldSegment<'t> {
    /// Where their bytes lie, in order. None lie anywhere where rows are told by their segments alone.
    pub(crate) pieces: &'t [Piece],
    /// Number of rows.
    pub(crate) rows: u64,
    /// Whether its first row is the next one behind the segment before it.
    pub(crate) goes_on: bool,
}

/// The rows of all new segments, in the order of the dataset.
pub(crate) struct ToldRows<'t> {
    pub(crate) spool: &'t Spool,
    pub(crate) first_row: FirstRow,
    pub(crate) segments: Vec<ToldSegment<'t>>,
}

impl ToldRows<'_> {
    /// How many of the first rows of each segment were appended before. Takes the segments whose rows these are off `lost`, which has the
    /// places in `before` of those that are gone, ascending.
    ///
    /// # Errors
    /// If the rows can't be read.
    pub(crate) fn appended(&self, before: &[Appended], lost: &mut Vec<usize>) -> Result<Vec<u64>, SinkError> {
        let mut appended = vec![0; self.segments.len()];
        let mut walk = Walk { rows: self, at: Position::default(), bytes: Vec::new(), of: None };
        let mut last = None;
        while !lost.is_empty() && walk.at.segment < self.segments.len() {
            let start = walk.at;
            let next = lost.partition_point(|&place| last.is_some_and(|last| place < last));
            let expected = lost.get(next..=next).unwrap_or_default();
            let found = match walk.skip(before, expected)? {
                None => walk.skip(before, lost)?,
                found => found,
            };
            let Some(found) = found else {
                walk.at = Position::start(start.segment + 1);
                continue;
            };
            lost.retain(|&place| place != found);
            last = Some(found);
            for (appended, segment) in appended.iter_mut().zip(&self.segments).take(walk.at.segment).skip(start.segment)
            {
                *appended = segment.rows;
            }
            if let Some(appended) = appended.get_mut(walk.at.segment) {
                *appended = walk.at.row;
            }
        }
        Ok(appended)
    }
}

/// A place before a row, or behind the last one of a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    segment: usize,
    /// Number of rows of the segment before it.
    row: u64,
    piece: usize,
    byte: usize,
}

impl Position {
    fn start(segment: usize) -> Self {
        Self { segment, ..Self::default() }
    }
}

/// A walk over rows.
struct Walk<'t> {
    rows: &'t ToldRows<'t>,
    at: Position,
    /// The bytes of a piece, and of which one of which segment.
    bytes: Vec<u8>,
    of: Option<(usize, usize)>,
}

impl Walk<'_> {
    /// Goes behind the longest of some segments whose rows are the next ones, if one is: gives its place. Else it stays.
    fn skip(&mut self, before: &[Appended], places: &[usize]) -> Result<Option<usize>, SinkError> {
        let mut by_rows: HashMap<u64, Vec<usize>> = HashMap::new();
        places.iter().for_each(|&place| by_rows.entry(before[place].rows).or_default().push(place));
        let most = by_rows.keys().copied().max().unwrap_or(0);
        let (start, mut found, mut hasher) = (self.at, None, blake3::Hasher::new());
        for rows in 1..=most {
            let Some(row) = self.next()? else { break };
            hasher.update(row);
            if let Some(places) = by_rows.get(&rows) {
                let digest = *hasher.finalize().as_bytes();
                let place = places.iter().find(|&&place| before[place].records == digest);
                found = place.map(|&place| (place, self.at)).or(found);
            }
        }
        self.at = found.map_or(start, |(_, end)| end);
        Ok(found.map(|(place, _)| place))
    }

    /// The next row, also of the segment behind if that one goes on here.
    fn next(&mut self) -> Result<Option<&[u8]>, SinkError> {
        loop {
            let Some(segment) = self.rows.segments.get(self.at.segment) else { return Ok(None) };
            let Some(piece) = segment.pieces.get(self.at.piece) else {
                let next = self.at.segment + 1;
                if !self.rows.segments.get(next).is_some_and(|next| next.goes_on) {
                    return Ok(None);
                }
                self.at = Position::start(next);
                continue;
            };
            let of = (self.at.segment, self.at.piece);
            if self.of != Some(of) {
                self.bytes = self.rows.spool.get(piece)?;
                self.of = Some(of);
            }
            if self.at.byte < self.bytes.len() {
                break;
            }
            (self.at.piece, self.at.byte) = (self.at.piece + 1, 0);
        }
        let start = self.at.byte;
        let length = (self.rows.first_row)(&self.bytes[start..]);
        let length = self.rows.spool.at(length.ok_or_else(|| io::ErrorKind::InvalidData.into()), "reading")?;
        self.at.byte += length;
        self.at.row += 1;
        Ok(Some(&self.bytes[start..start + length]))
    }
}
