//! Texts that are none: databases such as SQLite keep any bytes as texts, and their drivers give them as they are.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, GenericListArray, GenericStringArray, OffsetSizeTrait};
use arrow_schema::DataType;

/// The first row with a text that is not UTF-8, at any depth. The column's parts must be within its buffers.
pub(crate) fn not_utf8(column: &ArrayRef) -> Option<usize> {
    match column.data_type() {
        DataType::Utf8 => of_texts(column.as_string::<i32>()),
        DataType::LargeUtf8 => of_texts(column.as_string::<i64>()),
        DataType::List(_) => of_lists(column.as_list::<i32>()),
        DataType::LargeList(_) => of_lists(column.as_list::<i64>()),
        DataType::Struct(_) => column.as_struct().columns().iter().filter_map(not_utf8).min(),
        _ => None,
    }
}

fn of_texts<O: OffsetSizeTrait>(texts: &GenericStringArray<O>) -> Option<usize> {
    let bytes = texts.value_data();
    texts.value_offsets().windows(2).position(|ends| match ends {
        [start, end] => bytes.get(start.as_usize()..end.as_usize()).is_some_and(|text| str::from_utf8(text).is_err()),
        _ => false,
    })
}

fn of_lists<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Option<usize> {
    let item = not_utf8(lists.values())?;
    lists.value_offsets().iter().skip(1).position(|end| item < end.as_usize())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BinaryArray, ListArray, StringArray, StructArray, make_array};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::Field;

    use super::*;

    /// Texts of any bytes, as a driver may give them.
    fn texts(values: &[&[u8]]) -> ArrayRef {
        let bytes = BinaryArray::from_iter_values(values).into_data().into_builder().data_type(DataType::Utf8);
        // SAFETY: what is read of it is found to be no UTF-8 before anything takes it for a text.
        make_array(unsafe { bytes.build_unchecked() })
    }

    #[test]
    fn the_row_of_a_text_that_is_none_is_found_at_any_depth() {
        let good: ArrayRef = Arc::new(StringArray::from(vec!["a", "\u{e9}", "", "b"]));
        let bad = texts(&[b"a", b"b", b"", b"\xff"]);
        // Each half of it is none, and both are one.
        let cut = texts(&[b"a", b"\xc3", b"\xa9", b"b"]);
        let lists = |items: ArrayRef| -> ArrayRef {
            let item = Arc::new(Field::new("item", DataType::Utf8, true));
            Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([2, 0, 2]), items, None))
        };
        let both = |first: &ArrayRef, second: &ArrayRef| -> ArrayRef {
            let columns = [("a", first), ("b", second)].map(|(name, column)| (name, column.clone()));
            Arc::new(StructArray::try_from(columns.to_vec()).unwrap())
        };
        assert_eq!([&good, &bad, &cut].map(not_utf8), [None, Some(3), Some(1)]);
        assert_eq!(
            [good.clone(), bad.clone(), cut.clone()].map(|items| not_utf8(&lists(items))),
            [None, Some(2), Some(0)]
        );
        assert_eq!(not_utf8(&both(&bad, &cut)), Some(1));
        assert_eq!(not_utf8(&bad.slice(3, 1)), Some(0));
        assert_eq!(not_utf8(&bad.slice(0, 3)), None);
    }
}
