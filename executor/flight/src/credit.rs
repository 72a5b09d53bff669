//! How many bytes may be on their way to a stage.

use std::collections::VecDeque;
use std::ops::Range;

/// Bytes that were sent on one stream and are not consumed yet, and how many there may be.
#[derive(Debug)]
pub(crate) struct Credit {
    limit: u64,
    outstanding: u64,
    /// Per batch: its rows and its bytes.
    sent: VecDeque<(Range<u64>, u64)>,
    rows: u64,
}

impl Credit {
    /// Nothing is sent yet.
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, outstanding: 0, sent: VecDeque::new(), rows: 0 }
    }

    /// Whether a batch may be sent now. One that is larger than all credit is sent alone.
    pub(crate) fn admits(&self, bytes: u64) -> bool {
        self.outstanding == 0 || self.outstanding.saturating_add(bytes) <= self.limit
    }

    /// Counts a batch.
    pub(crate) fn send(&mut self, rows: u64, bytes: u64) {
        // Nobody says that no rows are consumed: they are with those before them.
        if rows == 0 {
            return;
        }
        let first = self.rows;
        self.rows += rows;
        self.outstanding += bytes;
        self.sent.push_back((first..self.rows, bytes));
    }

    /// The stage is done with the first `rows` rows. More than were sent is a breach.
    pub(crate) fn consume(&mut self, rows: u64) -> Result<(), String> {
        if rows > self.rows {
            return Err(format!("it says that it consumed {rows} rows, and was given {}", self.rows));
        }
        while let Some((_, bytes)) = self.sent.pop_front_if(|(batch, _)| batch.end <= rows) {
            self.outstanding -= bytes;
        }
        Ok(())
    }

    /// How many rows were sent.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows of the oldest batch that is not consumed.
    pub(crate) fn oldest(&self) -> Option<Range<u64>> {
        self.sent.front().map(|(batch, _)| batch.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_given_back_batch_by_batch() {
        let mut credit = Credit::new(100);
        assert!(credit.admits(1000), "a batch that is too large is sent alone");
        credit.send(10, 60);
        assert!(credit.admits(40) && !credit.admits(41));
        credit.send(10, 40);
        credit.consume(19).unwrap();
        assert!(credit.admits(60) && !credit.admits(61));
        assert_eq!(credit.oldest(), Some(10..20));
        credit.consume(20).unwrap();
        assert_eq!(credit.oldest(), None);
        assert!(credit.admits(1000));
        credit.send(0, 8);
        assert_eq!(credit.oldest(), None, "nobody says that no rows are consumed");
        assert!(credit.consume(21).unwrap_err().contains("consumed 21 rows, and was given 20"));
    }
}
