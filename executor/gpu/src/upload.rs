//! Columns as a kernel's buffers hold them.

use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryType, ByteArrayType, LargeBinaryType, LargeUtf8Type, Utf8Type};
use arrow_array::{Array, ArrayRef, GenericByteArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer};
use arrow_schema::DataType;
use flowc_kernel::Part;

/// Bytes of a word. Buffers are whole numbers of them.
const WORD: usize = 4;

/// A value that no kernel can be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A list has a null among its values, in this row.
    NullInList(usize),
    /// Texts have more bytes than 32-bit offsets reach.
    Texts,
}

/// A part of a column, as its buffer begins. What lies under nulls is zero, so that a kernel sees the same whatever made the column.
///
/// # Errors
/// If a kernel can't be given a value.
pub(crate) fn part(array: &ArrayRef, part: Part) -> Result<Buffer, Unfit> {
    Ok(match part {
        Part::Values => whole_words(values(array)?),
        Part::Validity => whole_words(validity(array)),
        Part::Offsets => whole_words(texts(array)?.0),
        Part::Bytes => whole_words(texts(array)?.1),
    })
}

/// Pads with zeros; an empty buffer can't be bound.
fn whole_words(buffer: Buffer) -> Buffer {
    let length = buffer.len().next_multiple_of(WORD).max(WORD);
    if length == buffer.len() {
        return buffer;
    }
    let mut padded = buffer.to_vec();
    padded.resize(length, 0);
    Buffer::from_vec(padded)
}

fn validity(array: &ArrayRef) -> Buffer {
    match array.nulls() {
        Some(nulls) => nulls.inner().sliced(),
        None => all_valid(array.len()),
    }
}

/// The bitmap of so many rows without a null.
pub(crate) fn all_valid(rows: usize) -> Buffer {
    whole_words(BooleanBuffer::new_set(rows).sliced())
}

/// The values of a column of fixed width.
fn values(array: &ArrayRef) -> Result<Buffer, Unfit> {
    match array.data_type() {
        DataType::Boolean => Ok(bits(array)),
        DataType::FixedSizeList(_, count) => {
            let list = array.as_fixed_size_list();
            let count = usize::try_from(*count).unwrap_or(0);
            let items = list.values();
            if let Some(row) = null_in_list(items, list.nulls(), count) {
                return Err(Unfit::NullInList(row));
            }
            let of_lists = list.nulls().map(|nulls| nulls.expand(count));
            if items.data_type() == &DataType::Boolean {
                let values = items.as_boolean().values();
                return Ok(of_lists.map_or_else(|| values.sliced(), |nulls| (values & nulls.inner()).sliced()));
            }
            Ok(zeroed(fixed(items), items.len(), of_lists.as_ref()))
        }
        _ => Ok(zeroed(fixed(array), array.len(), array.nulls())),
    }
}

fn bits(array: &ArrayRef) -> Buffer {
    let values = array.as_boolean().values();
    array.nulls().map_or_else(|| values.sliced(), |nulls| (values & nulls.inner()).sliced())
}

/// The first row of which a value is null while the list is there.
fn null_in_list(items: &ArrayRef, of_lists: Option<&NullBuffer>, count: usize) -> Option<usize> {
    let nulls = items.nulls().filter(|nulls| nulls.null_count() > 0)?;
    let is_there = |row: usize| of_lists.is_none_or(|nulls| nulls.is_valid(row));
    let rows = (0..nulls.len()).filter(|item| nulls.is_null(*item)).map(|item| item / count.max(1));
    rows.into_iter().find(|row| is_there(*row))
}

/// The bytes of values of fixed width.
fn fixed(array: &ArrayRef) -> Buffer {
    let data = array.to_data();
    let width = width(array.data_type());
    match data.buffers().first() {
        Some(buffer) => buffer.slice_with_length(data.offset() * width, data.len() * width),
        None => Buffer::from_vec(Vec::<u8>::new()),
    }
}

/// Bytes of a value.
fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).unwrap_or(0),
        other => other.primitive_width().unwrap_or(0),
    }
}

fn zeroed(buffer: Buffer, values: usize, nulls: Option<&NullBuffer>) -> Buffer {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return buffer };
    let mut bytes = buffer.to_vec();
    let width = bytes.len() / values.max(1);
    for value in (0..values).filter(|value| nulls.is_null(*value)) {
        bytes[value * width..(value + 1) * width].fill(0);
    }
    Buffer::from_vec(bytes)
}

/// Where texts begin, and their bytes.
fn texts(array: &ArrayRef) -> Result<(Buffer, Buffer), Unfit> {
    match array.data_type() {
        DataType::Utf8 => of_bytes::<Utf8Type>(array.as_string()),
        DataType::LargeUtf8 => of_bytes::<LargeUtf8Type>(array.as_string()),
        DataType::Binary => of_bytes::<BinaryType>(array.as_binary()),
        DataType::LargeBinary => of_bytes::<LargeBinaryType>(array.as_binary()),
        DataType::Utf8View => gathered(array.len(), array.nulls(), |row| array.as_string_view().value(row).as_bytes()),
        _ => gathered(array.len(), array.nulls(), |row| array.as_binary_view().value(row)),
    }
}

fn of_bytes<T: ByteArrayType>(array: &GenericByteArray<T>) -> Result<(Buffer, Buffer), Unfit> {
    if array.null_count() > 0 {
        return gathered(array.len(), array.nulls(), |row| <T::Native as AsRef<[u8]>>::as_ref(array.value(row)));
    }
    let offsets = array.value_offsets();
    let (first, last) = (offsets[0].as_usize(), offsets[array.len()].as_usize());
    u32::try_from(last - first).map_err(|_| Unfit::Texts)?;
    let rebased: Vec<u32> = offsets.iter().map(|offset| (offset.as_usize() - first) as u32).collect();
    Ok((Buffer::from_vec(rebased), array.values().slice_with_length(first, last - first)))
}

/// Texts one by one; nulls are empty.
fn gathered<'a>(
    rows: usize,
    nulls: Option<&NullBuffer>,
    text: impl Fn(usize) -> &'a [u8],
) -> Result<(Buffer, Buffer), Unfit> {
    let (mut offsets, mut bytes) = (vec![0u32], Vec::new());
    for row in 0..rows {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            bytes.extend_from_slice(text(row));
        }
        offsets.push(u32::try_from(bytes.len()).map_err(|_| Unfit::Texts)?);
    }
    Ok((Buffer::from_vec(offsets), Buffer::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{
        BooleanArray, FixedSizeListArray, Float64Array, Int8Array, Int32Array, LargeStringArray, StringArray,
        StringViewArray,
    };

    use super::*;

    fn words(array: impl Array + 'static, of: Part) -> Vec<u32> {
        let array: ArrayRef = Arc::new(array);
        let buffer = part(&array, of).unwrap();
        buffer.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect()
    }

    #[test]
    fn values_lie_as_arrow_has_them_and_zero_under_nulls() {
        assert_eq!(words(Int32Array::from(vec![1, 2, 3, 4]).slice(1, 2), Part::Values), [2, 3]);
        let nulls = Int32Array::new(vec![1, 7, 3].into(), Some(vec![true, false, true].into()));
        assert_eq!(words(nulls.clone(), Part::Values), [1, 0, 3]);
        assert_eq!(words(nulls.slice(1, 2), Part::Validity), [0b10]);
        assert_eq!(words(Int32Array::from(vec![1; 33]), Part::Validity), [u32::MAX, 1]);
        assert_eq!(words(Int8Array::from(vec![1, -1, 2, 3, 4]), Part::Values), [0x0302_ff01, 4]);
        assert_eq!(words(Float64Array::from(vec![1.0]), Part::Values), [0, 0x3ff0_0000]);
        let flags = BooleanArray::from(vec![Some(false), Some(true), None, Some(true)]);
        assert_eq!(words(flags.slice(1, 3), Part::Values), [0b101]);
    }

    #[test]
    fn lists_have_no_nulls_among_their_values() {
        let list =
            |rows: Vec<Option<Vec<Option<i32>>>>| FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(rows, 2);
        let whole = list(vec![Some(vec![Some(1), Some(2)]), None, Some(vec![Some(5), Some(6)])]);
        assert_eq!(words(whole.clone(), Part::Values), [1, 2, 0, 0, 5, 6]);
        assert_eq!(words(whole.slice(2, 1), Part::Values), [5, 6]);
        let with_null: ArrayRef = Arc::new(list(vec![None, Some(vec![Some(1), None])]));
        assert_eq!(part(&with_null, Part::Values), Err(Unfit::NullInList(1)));
    }

    #[test]
    fn texts_are_offsets_from_zero_and_bytes_in_words() {
        let some = vec![Some("ab"), None, Some("cdé")];
        for array in [
            Arc::new(StringArray::from(some.clone())) as ArrayRef,
            Arc::new(LargeStringArray::from(some.clone())),
            Arc::new(StringViewArray::from(some)),
        ] {
            let kind = array.data_type().clone();
            assert_eq!(words(array.clone(), Part::Offsets), [0, 2, 2, 6], "{kind}");
            assert_eq!(words(array.slice(2, 1), Part::Offsets), [0, 4], "{kind}");
            let text = u32::from_le_bytes([b'c', b'd', 0xc3, 0xa9]);
            assert_eq!(words(array.slice(2, 1), Part::Bytes), [text], "{kind}");
            assert_eq!(words(array.slice(0, 0), Part::Offsets), [0], "{kind}");
            assert_eq!(words(array.slice(0, 0), Part::Bytes), [0], "{kind}");
        }
    }
}
