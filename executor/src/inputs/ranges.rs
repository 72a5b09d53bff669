//! The rows of a segment in memory, picked by their numbers in it.

use std::ops::Range;

use arrow_array::UInt32Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::ArrowError;
use flowc_demand::{Grid, Layout};
use flowc_planner::plan::Window;
use flowc_runner::{Batch, Selection};

use crate::inputs::times::times;

/// All rows of a segment.
pub(crate) struct SegmentRows {
    batches: Vec<Batch>,
    /// The number of the first row of each batch, and of the row after the last.
    firsts: Vec<usize>,
}

impl SegmentRows {
    /// Those of batches that follow one another.
    pub(crate) fn new(batches: Vec<Batch>) -> Self {
        let mut firsts = vec![0];
        for batch in &batches {
            firsts.push(firsts[firsts.len() - 1] + batch.rows());
        }
        Self { batches, firsts }
    }

    /// All batches.
    pub(crate) fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// The time of each row, by the column that holds those of windows.
    pub(crate) fn times(&self, window: &Window) -> Vec<Option<i64>> {
        let column = |batch: &Batch| Some(times(batch.column(window.time?.column)?));
        let of_batch = |batch: &Batch| column(batch).unwrap_or_else(|| vec![None; batch.rows()]);
        self.batches.iter().flat_map(of_batch).collect()
    }

    /// The latest time before each row in its segment when all rows were there, by the column that holds it; the earliest of all times
    /// where there is none. No row has one where the segment has all its rows.
    pub(crate) fn latest_before(&self, window: &Window) -> Option<Vec<i64>> {
        let column = window.marks()?.before;
        let of_batch = |batch: &Batch| latest_before(batch, column).unwrap_or_else(|| vec![i64::MIN; batch.rows()]);
        Some(self.batches.iter().flat_map(of_batch).collect())
    }

    /// Where its rows are by windows.
    pub(crate) fn layout(&self, window: &Window) -> Layout {
        let (grid, times) = (Grid::new(&window.kind), self.times(window).into_iter());
        match self.latest_before(window) {
            Some(before) => Layout::of_marked(grid, times.zip(before)),
            None => Layout::of(grid, times),
        }
    }

    /// The rows of ascending ranges, batch by batch, each with the number of its first row. Where they are neighbours nothing is copied.
    ///
    /// # Errors
    /// If a column can't hold them.
    pub(crate) fn picked(&self, ranges: &[Range<usize>]) -> Result<Vec<(u64, Batch)>, ArrowError> {
        let mut picked = Vec::new();
        let mut next = 0;
        for (number, batch) in self.batches.iter().enumerate() {
            let (start, end) = (self.firsts[number], self.firsts[number + 1]);
            let mut within: Vec<Range<usize>> = Vec::new();
            while let Some(range) = ranges.get(next).filter(|range| range.start < end) {
                within.push(range.start.max(start) - start..range.end.min(end) - start);
                if range.end > end {
                    break;
                }
                next += 1;
            }
            let Some(first) = within.first().map(|range| (start + range.start) as u64) else { continue };
            let rows = match &within[..] {
                [all] => batch.slice(all.start, all.len()),
                several => {
                    let rows: UInt32Array =
                        several.iter().flat_map(|range| range.start as u32..range.end as u32).collect();
                    batch.select(&Selection::Take(rows))?
                }
            };
            picked.push((first, rows));
        }
        Ok(picked)
    }
}

/// The latest times before the rows of a batch, by the column of [`flowc_planner::plan::Marks`] that holds them.
pub(crate) fn latest_before(batch: &Batch, column: usize) -> Option<Vec<i64>> {
    let times = batch.column(column)?.as_primitive_opt::<Int64Type>()?;
    Some(times.iter().map(|time| time.unwrap_or(i64::MIN)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn rows_are_picked_by_their_numbers_whatever_the_batches() {
        let all: Vec<i64> = (0..20).collect();
        let ranges = [0..1, 2..9, 9..10, 12..20];
        let due: Vec<i64> = ranges.iter().flat_map(|range| range.start as i64..range.end as i64).collect();
        for size in 1..=21 {
            let batch = |rows: &[i64]| {
                Batch::new(rows.len(), vec![Some(Arc::new(Int64Array::from(rows.to_vec())) as ArrayRef)])
            };
            let rows = SegmentRows::new(all.chunks(size).map(batch).collect());
            let mut found = Vec::new();
            for (first, batch) in rows.picked(&ranges).unwrap() {
                let values = batch.column(0).unwrap().as_primitive::<Int64Type>().values().to_vec();
                assert_eq!(values[0], first as i64);
                found.extend(values);
            }
            assert_eq!(found, due, "batches of {size}");
        }
        assert!(SegmentRows::new(Vec::new()).picked(&[]).unwrap().is_empty());
    }
}
