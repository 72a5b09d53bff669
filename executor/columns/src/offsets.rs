//! Whether arrays can be put together: offsets of 32 bits reach no farther than 2 GiB of text, or 2^31 items.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, OffsetSizeTrait};
use arrow_schema::DataType;

/// The first type among the parts of these arrays, all of one type, whose offsets would not reach; none if all do. Arrow tells
/// some of that by a panic.
pub(crate) fn too_full(arrays: &[ArrayRef]) -> Option<DataType> {
    let data_type = arrays.first()?.data_type();
    let of_32_bits = |spans: &mut dyn Iterator<Item = usize>| {
        let total: usize = spans.sum();
        i32::try_from(total).is_err().then(|| data_type.clone())
    };
    match data_type {
        DataType::Utf8 => of_32_bits(&mut arrays.iter().map(|a| span(a.as_string::<i32>().value_offsets()).1)),
        DataType::Binary => of_32_bits(&mut arrays.iter().map(|a| span(a.as_binary::<i32>().value_offsets()).1)),
        DataType::List(_) => {
            let spans =
                || arrays.iter().map(|a| (a.as_list::<i32>().values(), span(a.as_list::<i32>().value_offsets())));
            of_32_bits(&mut spans().map(|(_, (_, items))| items)).or_else(|| too_full(&items(spans())))
        }
        DataType::LargeList(_) => {
            let spans = arrays.iter().map(|a| (a.as_list::<i64>().values(), span(a.as_list::<i64>().value_offsets())));
            too_full(&items(spans))
        }
        DataType::Map(_, _) => {
            let spans = || arrays.iter().map(|a| span(a.as_map().value_offsets()));
            let column = |place: usize| {
                let columns = arrays.iter().map(|a| a.as_map().entries().column(place)).zip(spans());
                too_full(&items(columns))
            };
            of_32_bits(&mut spans().map(|(_, items)| items)).or_else(|| column(0)).or_else(|| column(1))
        }
        DataType::FixedSizeList(_, _) => {
            too_full(&arrays.iter().map(|a| a.as_fixed_size_list().values().clone()).collect::<Vec<_>>())
        }
        DataType::Struct(fields) => (0..fields.len()).find_map(|place| {
            too_full(&arrays.iter().map(|a| a.as_struct().column(place).clone()).collect::<Vec<_>>())
        }),
        _ => None,
    }
}

/// Where the values of an array begin, and how many there are.
fn span<O: OffsetSizeTrait>(offsets: &[O]) -> (usize, usize) {
    match offsets {
        [first, .., last] => (first.as_usize(), last.as_usize() - first.as_usize()),
        _ => (0, 0),
    }
}

fn items<'a>(spans: impl Iterator<Item = (&'a ArrayRef, (usize, usize))>) -> Vec<ArrayRef> {
    spans.map(|(values, (first, count))| values.slice(first, count)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ListArray, MapArray, NullArray, StringArray, StructArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::{Field, Fields};

    use super::*;

    /// One list of so many nulls, which take no memory.
    fn list(items: usize) -> ArrayRef {
        let field = Arc::new(Field::new("item", DataType::Null, true));
        let offsets = OffsetBuffer::from_lengths([items]);
        Arc::new(ListArray::new(field, offsets, Arc::new(NullArray::new(items)), None))
    }

    fn structs(column: ArrayRef) -> ArrayRef {
        let fields = Fields::from(vec![Field::new("l", column.data_type().clone(), true)]);
        Arc::new(StructArray::new(fields, vec![column], None))
    }

    fn map(items: usize) -> ArrayRef {
        // Keys that take no memory and are no nulls.
        let key = DataType::Struct(Fields::empty());
        let fields = Fields::from(vec![Field::new("k", key, false), Field::new("v", DataType::Null, true)]);
        let keys: ArrayRef = Arc::new(StructArray::new_empty_fields(items, None));
        let entries = StructArray::new(fields.clone(), vec![keys, Arc::new(NullArray::new(items))], None);
        let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
        Arc::new(MapArray::new(field, OffsetBuffer::from_lengths([items]), entries, None, false))
    }

    #[test]
    fn what_offsets_do_not_reach_is_found_wherever_it_is() {
        const MANY: usize = 1_500_000_000;
        let is_list = |found: Option<DataType>| matches!(found, Some(DataType::List(_)));
        assert_eq!(too_full(&[list(MANY)]), None);
        assert_eq!(too_full(&[list(MANY), list(600_000_000)]), None);
        assert!(is_list(too_full(&[list(MANY), list(MANY)])));
        assert!(is_list(too_full(&[structs(list(MANY)), structs(list(MANY))])));
        assert!(matches!(too_full(&[map(MANY), map(MANY)]), Some(DataType::Map(..))));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        assert_eq!(too_full(&[texts.clone(), texts]), None);
        assert_eq!(too_full(&[]), None);
    }
}
