//! The numbers of an input's rows. Where rows are picked, they go through the instance as one more column, which the stage does
//! not read and passes on.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{ArrayRef, DictionaryArray, UInt32Array, UInt64Array};
use arrow_buffer::Buffer;
use arrow_schema::{ArrowError, DataType};

/// Numbers the rows of an input.
///
/// The column is a dictionary whose values are the numbers of all rows of its batch. Whatever is picked of it shares them, so
/// that the count of those who hold them says whether the instance still has any row of the batch.
#[derive(Default)]
pub(super) struct Numbers {
    next: u64,
    /// Per batch of which something may be held: the row after its last one, and the values.
    held: VecDeque<(u64, Buffer)>,
}

impl Numbers {
    /// The type of the column.
    pub(super) fn data_type() -> DataType {
        DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::UInt64))
    }

    /// The column for the next rows.
    pub(super) fn column(&mut self, rows: usize) -> Result<ArrayRef, ArrowError> {
        let (first, end) = (self.next, self.next + rows as u64);
        let values = UInt64Array::from_iter_values(first..end);
        let keys = u32::try_from(rows).map_err(|_| ArrowError::InvalidArgumentError(format!("{rows} rows")))?;
        self.held.push_back((end, values.values().inner().clone()));
        self.next = end;
        let column = DictionaryArray::<UInt32Type>::try_new(UInt32Array::from_iter_values(0..keys), Arc::new(values))?;
        Ok(Arc::new(column))
    }

    /// How many rows there were before the first one that the instance may still hold.
    pub(super) fn settled(&mut self) -> u64 {
        while self.held.pop_front_if(|(_, values)| values.strong_count() == 1).is_some() {}
        let held = self.held.front().map(|(end, values)| end - (values.len() / size_of::<u64>()) as u64);
        held.unwrap_or(self.next)
    }

    /// The numbers in such a column. None for any other.
    pub(super) fn read(column: &ArrayRef) -> Option<ArrayRef> {
        let column = column.as_dictionary_opt::<UInt32Type>()?;
        let values = column.values().as_primitive_opt::<UInt64Type>()?.values();
        let numbers = column.keys().values().iter().map(|key| values.get(*key as usize).copied());
        numbers.collect::<Option<Vec<u64>>>().map(|numbers| Arc::new(UInt64Array::from(numbers)) as ArrayRef)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::BooleanArray;
    use arrow_select::concat::concat;
    use arrow_select::filter::filter;
    use arrow_select::take::take;

    use super::*;

    fn values(column: &ArrayRef) -> Vec<u64> {
        Numbers::read(column).unwrap().as_primitive::<UInt64Type>().values().to_vec()
    }

    #[test]
    fn rows_are_settled_when_nothing_of_their_batch_is_held() {
        let mut numbers = Numbers::default();
        let (first, second) = (numbers.column(3).unwrap(), numbers.column(2).unwrap());
        assert_eq!((values(&first), values(&second)), (vec![0, 1, 2], vec![3, 4]));
        assert_eq!(numbers.settled(), 0);
        let kept = filter(&first, &BooleanArray::from(vec![false, true, false])).unwrap();
        drop(first);
        assert_eq!((numbers.settled(), values(&kept)), (0, vec![1]));
        drop(kept);
        assert_eq!(numbers.settled(), 3);
        let taken = take(&second, &UInt32Array::from(vec![1, 0, 1]), None).unwrap();
        let pieces = concat(&[&taken, &taken.slice(1, 1)]).unwrap();
        drop((second, taken));
        assert_eq!((numbers.settled(), values(&pieces)), (3, vec![4, 3, 4, 3]));
        drop(pieces);
        assert_eq!(numbers.settled(), 5);
    }

    #[test]
    fn another_column_is_refused() {
        let column: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
        assert!(Numbers::read(&column).is_none());
    }
}
