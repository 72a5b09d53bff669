//! Rows that a guest picked, applied to columns only when these are used.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, UInt32Array};
use arrow_buffer::BooleanBuffer;
use arrow_schema::ArrowError;
use arrow_select::concat::concat;
use arrow_select::filter::{FilterBuilder, FilterPredicate, filter};
use arrow_select::take::take;

use crate::fault::Stop;

/// Rows of a batch.
#[derive(Debug)]
pub(crate) enum Picks {
    /// Those whose bit is set.
    Mask { mask: BooleanArray, predicate: Box<FilterPredicate> },
    /// Those with these numbers, which are in range.
    Take(UInt32Array),
}

impl Picks {
    /// Rows of a batch by mask. Few columns are filtered faster without preparing the mask.
    pub(crate) fn mask(mask: BooleanBuffer, columns: usize) -> Self {
        let mask = BooleanArray::new(mask, None);
        let builder = FilterBuilder::new(&mask);
        let predicate = Box::new(if columns > 1 { builder.optimize() } else { builder }.build());
        Picks::Mask { mask, predicate }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Picks::Mask { predicate, .. } => predicate.count(),
            Picks::Take(indices) => indices.len(),
        }
    }

    /// Bytes that the picks themselves take.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Picks::Mask { mask, predicate } => mask.len() / 8 + 8 * predicate.count(),
            Picks::Take(indices) => 4 * indices.len(),
        }
    }

    /// Of these rows, those whose bit is set.
    pub(crate) fn then_mask(&self, mask: BooleanBuffer) -> Result<Self, Stop> {
        self.then(|indices| filter(indices, &BooleanArray::new(mask, None)))
    }

    /// Of these rows, those with these numbers.
    pub(crate) fn then_take(&self, numbers: &UInt32Array) -> Result<Self, Stop> {
        self.then(|indices| take(indices, numbers, None))
    }

    /// Of these rows, a run.
    pub(crate) fn then_slice(&self, offset: usize, length: usize) -> Result<Self, Stop> {
        self.then(|indices| Ok(Arc::new(indices.slice(offset, length))))
    }

    fn then(&self, pick: impl FnOnce(&UInt32Array) -> Result<ArrayRef, ArrowError>) -> Result<Self, Stop> {
        let picked = pick(&self.indices()).map_err(|error| Stop::contract(format!("a selection of rows: {error}")))?;
        Ok(Picks::Take(UInt32Array::from(picked.to_data())))
    }

    fn indices(&self) -> UInt32Array {
        match self {
            // Batches have fewer than 2^32 rows: checked where they are made.
            Picks::Mask { mask, .. } => mask.values().set_indices().map(|i| i as u32).collect::<Vec<_>>().into(),
            Picks::Take(indices) => indices.clone(),
        }
    }

    /// The rows of a column, if they fit into `room` bytes.
    pub(crate) fn apply(&self, column: &ArrayRef, room: u64) -> Result<ArrayRef, Stop> {
        let failed = |error: ArrowError| Stop::contract(format!("a selection of rows: {error}"));
        match self {
            Picks::Mask { predicate, .. } => predicate.filter(column).map_err(failed),
            Picks::Take(indices) if fits(column, indices, room) => take(column, indices, None).map_err(failed),
            Picks::Take(indices) => take_in_pieces(column, indices, room)?.map_err(failed),
        }
    }
}

/// Whether the taken rows are sure to fit: every row as often as the most frequent one.
fn fits(column: &ArrayRef, indices: &UInt32Array, room: u64) -> bool {
    if let Some(width) = column.data_type().primitive_width() {
        return (width as u64 + 1) * indices.len() as u64 <= room;
    }
    let bytes = size(column) as u64;
    bytes.saturating_mul(indices.len() as u64) <= room
        || bytes.saturating_mul(most_frequent(indices, column.len())) <= room
}

fn most_frequent(indices: &UInt32Array, rows: usize) -> u64 {
    let mut counts = vec![0u32; rows];
    for &index in indices.values() {
        counts[index as usize] += 1;
    }
    counts.into_iter().max().unwrap_or(0).into()
}

/// Takes so few rows at a time that none of the pieces can be larger than the room, and stops when all are.
fn take_in_pieces(column: &ArrayRef, indices: &UInt32Array, room: u64) -> Result<Result<ArrayRef, ArrowError>, Stop> {
    let piece = (room / (size(column) as u64).max(1)).clamp(1, indices.len().max(1) as u64) as usize;
    let mut pieces = Vec::new();
    let mut total = 0;
    for start in (0..indices.len()).step_by(piece) {
        let some = indices.slice(start, piece.min(indices.len() - start));
        let taken = match take(column, &some, None) {
            Ok(taken) => taken,
            Err(error) => return Ok(Err(error)),
        };
        total += size(&taken) as u64;
        if total > room {
            return Err(Stop::Memory);
        }
        pieces.push(taken);
    }
    Ok(concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>()))
}

/// Bytes of a column's own rows; a slice of a mapped file counts for what it shows, not for the file.
pub(crate) fn size(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
}

#[cfg(test)]
mod tests {

    use arrow_array::{Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_take_that_would_explode_is_stopped() {
        let long = "x".repeat(1 << 20);
        let column: ArrayRef = Arc::new(StringArray::from(vec![long.as_str(), "y"]));
        let often = Picks::Take(vec![0; 5000].into());
        assert_eq!(often.apply(&column, 1 << 30).map(|_| ()), Err(Stop::Memory));
        let seldom = Picks::Take(std::iter::once(0).chain(vec![1; 5000]).collect::<Vec<u32>>().into());
        assert_eq!(seldom.apply(&column, 1 << 22).unwrap().len(), 5001);
    }

    proptest! {
        #[test]
        fn picks_of_picks_are_picks(
            mask in prop::collection::vec(any::<bool>(), 1..200),
            second in prop::collection::vec(any::<bool>(), 200),
            numbers in prop::collection::vec(any::<prop::sample::Index>(), 0..50),
        ) {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..mask.len() as i64));
            let first = Picks::mask(mask.iter().copied().collect(), 2);
            let once = first.apply(&column, u64::MAX).unwrap();
            prop_assert_eq!(once.len(), first.rows());

            let second: BooleanBuffer = second[..once.len()].iter().copied().collect();
            let twice = first.then_mask(second.clone()).unwrap();
            prop_assert_eq!(
                &twice.apply(&column, u64::MAX).unwrap(),
                &Picks::mask(second, 1).apply(&once, u64::MAX).unwrap()
            );
            if !once.is_empty() {
                let numbers: UInt32Array = numbers.iter().map(|n| n.index(once.len()) as u32).collect::<Vec<_>>().into();
                let thrice = first.then_take(&numbers).unwrap();
                prop_assert_eq!(
                    &thrice.apply(&column, u64::MAX).unwrap(),
                    &Picks::Take(numbers).apply(&once, u64::MAX).unwrap()
                );
                let run = first.then_slice(1, once.len() - 1).unwrap();
                prop_assert_eq!(&run.apply(&column, u64::MAX).unwrap(), &once.slice(1, once.len() - 1));
            }
        }
    }
}
