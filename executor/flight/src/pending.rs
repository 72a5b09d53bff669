//! Rows of an input that outputs may still refer to.

use std::collections::VecDeque;
use std::ops::Range;

use arrow_array::ArrayRef;
use flowc_runner::{Batch, row_bytes};

/// Bytes of columns' own rows.
pub(crate) fn bytes_of<'a>(columns: impl IntoIterator<Item = &'a ArrayRef>) -> u64 {
    columns.into_iter().map(|column| row_bytes(column)).sum()
}

/// The batches of an input that were sent and are not released yet, in order.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Each with its first row and its bytes.
    batches: VecDeque<(u64, Batch, u64)>,
    end: u64,
    bytes: u64,
}

impl Pending {
    /// Adds the next rows.
    pub(crate) fn push(&mut self, batch: Batch) {
        let start = self.end;
        self.end += batch.rows() as u64;
        if batch.rows() > 0 {
            // What lies in a file takes no memory that could be given back.
            let bytes = batch.place().map_or_else(|| bytes_of(batch.columns().iter().flatten()), |_| 0);
            self.bytes += bytes;
            self.batches.push_back((start, batch, bytes));
        }
    }

    /// Bytes of memory of the batches that are kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of rows that were sent in all.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Drops batches all of whose rows come before this one.
    pub(crate) fn release(&mut self, before: u64) {
        while let Some((.., bytes)) =
            self.batches.pop_front_if(|(start, batch, _)| *start + batch.rows() as u64 <= before)
        {
            self.bytes -= bytes;
        }
    }

    /// The batch that holds a row, and which rows it holds. None for a row that is released, or was not sent.
    pub(crate) fn holder(&self, row: u64) -> Option<(&Batch, Range<u64>)> {
        let after = self.batches.partition_point(|(start, ..)| *start <= row);
        let (start, batch, _) = self.batches.get(after.checked_sub(1)?)?;
        let rows = *start..start + batch.rows() as u64;
        rows.contains(&row).then_some((batch, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_until_they_are_released() {
        let mut pending = Pending::default();
        [3, 0, 2].into_iter().for_each(|rows| pending.push(Batch::new(rows, vec![])));
        assert_eq!(pending.end(), 5);
        let rows = |pending: &Pending, row| pending.holder(row).map(|(_, rows)| rows);
        assert_eq!(
            [0, 2, 3, 4, 5].map(|row| rows(&pending, row)),
            [Some(0..3), Some(0..3), Some(3..5), Some(3..5), None]
        );
        pending.release(2);
        assert_eq!(rows(&pending, 0), Some(0..3));
        pending.release(3);
        assert_eq!([rows(&pending, 2), rows(&pending, 3)], [None, Some(3..5)]);
    }

    #[test]
    fn a_slice_counts_for_what_it_shows() {
        let mut pending = Pending::default();
        let long: ArrayRef = std::sync::Arc::new(arrow_array::Int64Array::from_iter_values(0..1000));
        let batch = Batch::new(1000, vec![Some(long)]);
        pending.push(batch.slice(10, 3));
        pending.push(batch.slice(500, 2));
        assert_eq!(pending.bytes(), 5 * 8);
        pending.release(3);
        assert_eq!(pending.bytes(), 2 * 8);
    }
}
