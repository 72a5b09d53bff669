//! Batches cut by bytes: a stage that is given large rows is given fewer of them at a time.

use arrow_array::cast::AsArray;
use arrow_array::types::{ByteArrayType, ByteViewType, Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow_array::{Array, ArrayRef, GenericByteArray, GenericByteViewArray, OffsetSizeTrait, RunArray};
use arrow_schema::DataType;

use crate::Batch;

/// Bytes of a batch, of what the stage reads. A row that is larger comes by itself.
pub const PIECE_BYTES: u64 = 64 << 20;

/// Bytes of a column's own rows. A slice counts for what it shows, not for the file or array that it is of; what a dictionary
/// holds counts for nothing, since all batches share it.
pub fn row_bytes(column: &dyn Array) -> u64 {
    let rows = column.len() as u64;
    let nulls = column.nulls().map_or(0, |_| rows.div_ceil(8));
    let values = match column.data_type() {
        DataType::Null => 0,
        DataType::Boolean => rows.div_ceil(8),
        DataType::FixedSizeBinary(width) => rows * u64::try_from(*width).unwrap_or(0),
        DataType::Utf8 => bytes_of(column.as_string::<i32>()),
        DataType::LargeUtf8 => bytes_of(column.as_string::<i64>()),
        DataType::Binary => bytes_of(column.as_binary::<i32>()),
        DataType::LargeBinary => bytes_of(column.as_binary::<i64>()),
        DataType::Utf8View => bytes_of_views(column.as_string_view()),
        DataType::BinaryView => bytes_of_views(column.as_binary_view()),
        DataType::List(_) => bytes_of_items(column.as_list::<i32>().values(), column.as_list::<i32>().value_offsets()),
        DataType::LargeList(_) => {
            bytes_of_items(column.as_list::<i64>().values(), column.as_list::<i64>().value_offsets())
        }
        DataType::Map(_, _) => {
            let map = column.as_map();
            let entries: ArrayRef = std::sync::Arc::new(map.entries().clone());
            bytes_of_items(&entries, map.value_offsets())
        }
        DataType::FixedSizeList(_, _) => row_bytes(column.as_fixed_size_list().values()),
        DataType::Struct(_) => column.as_struct().columns().iter().map(|column| row_bytes(column)).sum(),
        DataType::Dictionary(_, _) => row_bytes(column.as_any_dictionary().keys()),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => bytes_of_runs(column.as_run::<Int16Type>()),
            DataType::Int32 => bytes_of_runs(column.as_run::<Int32Type>()),
            _ => bytes_of_runs(column.as_run::<Int64Type>()),
        },
        other => match other.primitive_width() {
            Some(width) => rows * width as u64,
            None => column.to_data().get_slice_memory_size().unwrap_or_default() as u64,
        },
    };
    nulls + values
}

fn bytes_of<T: ByteArrayType>(column: &GenericByteArray<T>) -> u64 {
    size_of_val(column.value_offsets()) as u64 + span(column.value_offsets())
}

/// Views of up to 12 bytes hold their text themselves.
fn bytes_of_views<T: ByteViewType>(column: &GenericByteViewArray<T>) -> u64 {
    let elsewhere = column.views().iter().map(|view| u64::from(*view as u32)).filter(|length| *length > 12);
    size_of_val(&column.views()[..]) as u64 + elsewhere.sum::<u64>()
}

fn bytes_of_items<O: OffsetSizeTrait>(items: &ArrayRef, offsets: &[O]) -> u64 {
    let first = offsets.first().map_or(0, |first| first.as_usize());
    size_of_val(offsets) as u64 + row_bytes(&items.slice(first, span(offsets) as usize))
}

fn bytes_of_runs<R: RunEndIndexType>(column: &RunArray<R>) -> u64 {
    if column.is_empty() {
        return 0;
    }
    let (first, last) = (column.get_start_physical_index(), column.get_end_physical_index());
    let runs = last - first + 1;
    (runs * size_of::<R::Native>()) as u64 + row_bytes(&column.values().slice(first, runs))
}

/// From the first offset to the last.
fn span<O: OffsetSizeTrait>(offsets: &[O]) -> u64 {
    match offsets {
        [first, .., last] => (last.as_usize() - first.as_usize()) as u64,
        _ => 0,
    }
}

impl Batch {
    /// Bytes of the rows of some columns.
    pub fn bytes(&self, columns: &[usize]) -> u64 {
        columns.iter().filter_map(|&column| self.column(column)).map(|column| row_bytes(column)).sum()
    }

    /// Hands over the rows in pieces in which these columns have no more than so many bytes, where one row has not.
    ///
    /// # Errors
    /// What taking a piece gives.
    pub fn each_piece<E>(
        self,
        columns: &[usize],
        most: u64,
        take: &mut dyn FnMut(Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.rows() < 2 || self.bytes(columns) <= most {
            return take(self);
        }
        let half = self.rows() / 2;
        self.slice(0, half).each_piece(columns, most, take)?;
        self.slice(half, self.rows() - half).each_piece(columns, most, take)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::types::Int8Type;
    use arrow_array::{
        BooleanArray, DictionaryArray, FixedSizeBinaryArray, FixedSizeListArray, Int64Array, LargeBinaryArray,
        ListArray, NullArray, StringArray, StringViewArray, StructArray,
    };
    use arrow_schema::Field;

    use super::*;

    const ROWS: usize = 64;

    fn text(row: usize) -> String {
        format!("{row:04}").repeat(25)
    }

    /// A column of each type, with the bytes of a row and how many more a column may have.
    fn columns() -> Vec<(ArrayRef, u64, u64)> {
        let texts = || (0..ROWS).map(text);
        let mut lists = ListBuilder::new(Int32Builder::new());
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        for _ in 0..ROWS {
            (0..10).for_each(|n| lists.values().append_value(n));
            lists.append(true);
            maps.keys().append_value("k");
            maps.values().append_value(1);
            maps.append(true).unwrap();
        }
        let numbers = Int64Array::from_iter_values(0..ROWS as i64 * 3);
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let fixed = FixedSizeListArray::new(item, 3, Arc::new(numbers.clone()), None);
        let texts_of: ArrayRef = Arc::new(StringArray::from_iter_values(texts()));
        let structs = StructArray::from(vec![(Arc::new(Field::new("t", DataType::Utf8, false)), texts_of.clone())]);
        let words: DictionaryArray<Int8Type> = (0..ROWS).map(|row| ["a", "b"][row % 2]).collect();
        let runs = RunArray::try_new(
            &arrow_array::Int32Array::from_iter_values(1..=ROWS as i32),
            &StringArray::from_iter_values(texts()),
        );
        vec![
            (Arc::new(NullArray::new(ROWS)), 0, 0),
            (Arc::new(BooleanArray::from(vec![true; ROWS])), 0, 8),
            (Arc::new(numbers.slice(3, ROWS)), 8, 0),
            (Arc::new(Int64Array::from_iter((0..ROWS as i64).map(|n| (n > 0).then_some(n)))), 8, 8),
            (Arc::new(FixedSizeBinaryArray::try_from_iter((0..ROWS).map(|_| [0; 100])).unwrap()), 100, 0),
            (texts_of, 104, 4),
            (Arc::new(LargeBinaryArray::from_iter_values(texts())), 108, 8),
            (Arc::new(StringViewArray::from_iter_values(texts())), 116, 0),
            (Arc::new(lists.finish()), 44, 4),
            (Arc::new(maps.finish()), 13, 8),
            (Arc::new(fixed), 24, 0),
            (Arc::new(structs), 104, 4),
            (Arc::new(words), 1, 0),
            (Arc::new(runs.unwrap()), 108, 8),
        ]
    }

    fn is_runs(column: &ArrayRef) -> bool {
        matches!(column.data_type(), DataType::RunEndEncoded(..))
    }

    #[test]
    fn slices_count_for_what_they_show() {
        for (column, row, more) in columns() {
            for (start, rows) in [(0, ROWS), (0, 16), (16, 16), (ROWS - 1, 1), (0, 0)] {
                let (bytes, due) = (row_bytes(&column.slice(start, rows)), row * rows as u64);
                let kind = column.data_type();
                assert!((due..=due + more).contains(&bytes), "{kind}, {rows} rows from {start}: {bytes}, not {due}");
            }
        }
    }

    fn pieces(batch: &Batch, columns: &[usize], most: u64) -> Vec<Batch> {
        let mut pieces = Vec::new();
        let taken: Result<(), ()> = batch.clone().each_piece(columns, most, &mut |piece| {
            pieces.push(piece);
            Ok(())
        });
        taken.unwrap();
        pieces
    }

    #[test]
    fn pieces_are_small_and_hold_all_rows_in_order() {
        // Runs can't be put together again.
        for (column, row, more) in columns().into_iter().filter(|(column, ..)| !is_runs(column)) {
            let batch = Batch::new(ROWS, vec![Some(column.clone()), None]);
            let most = row * 10 + more;
            let pieces = pieces(&batch, &[0, 1], most);
            assert!(pieces.iter().all(|piece| piece.bytes(&[0]) <= most));
            let parts: Vec<&dyn Array> = pieces.iter().map(|piece| &**piece.column(0).unwrap()).collect();
            assert_eq!(&arrow_select::concat::concat(&parts).unwrap(), &column);
            assert_eq!(pieces.len() > 1, row > 0, "{}", column.data_type());
        }
    }

    #[test]
    fn what_is_not_read_does_not_count_and_a_large_row_comes_by_itself() {
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1)]),
            Some(vec![Some(2); 1000]),
            Some(vec![Some(3)]),
        ]));
        let batch = Batch::new(3, vec![Some(lists), Some(Arc::new(Int64Array::from(vec![1, 2, 3])))]);
        assert_eq!(pieces(&batch, &[1], 100).len(), 1);
        let rows: Vec<usize> = pieces(&batch, &[0, 1], 100).iter().map(Batch::rows).collect();
        assert_eq!(rows, [1, 1, 1]);
        assert_eq!(pieces(&Batch::new(1 << 20, vec![None]), &[0], 100).len(), 1);
    }

    #[test]
    fn whoever_takes_pieces_may_stop() {
        let batch = Batch::new(64, vec![Some(Arc::new(Int64Array::from_iter_values(0..64)) as ArrayRef)]);
        let mut taken = 0;
        let stopped = batch.each_piece(&[0], 80, &mut |_| {
            taken += 1;
            if taken == 2 { Err("enough") } else { Ok(()) }
        });
        assert_eq!((stopped, taken), (Err("enough"), 2));
    }
}
