//! What a kernel writes, as columns.

use std::sync::Arc;

use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{ArrayRef, ArrowPrimitiveType, BooleanArray, FixedSizeListArray, make_array};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, DataType};

/// Bytes of a row of a written column: Arrow's, but a word for each boolean.
pub(crate) fn row_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Boolean => 4,
        DataType::FixedSizeBinary(width) => u64::try_from(*width).unwrap_or(0),
        DataType::FixedSizeList(item, count) => row_bytes(item.data_type()) * u64::try_from(*count).unwrap_or(0),
        other => other.primitive_width().unwrap_or(0) as u64,
    }
}

/// The values of a column.
pub(crate) struct Values<'a> {
    /// The type of one.
    pub(crate) item: &'a DataType,
    /// How many a row has.
    pub(crate) count: u32,
}

impl<'a> Values<'a> {
    pub(crate) fn of(data_type: &'a DataType) -> Self {
        match data_type {
            DataType::FixedSizeList(item, count) => {
                Self { item: item.data_type(), count: u32::try_from(*count).unwrap_or(0) }
            }
            item => Self { item, count: 1 },
        }
    }

    /// Bits of one, as a kernel reads it.
    pub(crate) fn bits(&self) -> u32 {
        match self.item {
            DataType::Boolean => 1,
            item => u32::try_from(row_bytes(item) * 8).unwrap_or(0),
        }
    }
}

/// Words that say yes or no.
pub(crate) fn flags(bytes: &[u8], rows: usize) -> BooleanBuffer {
    let word = |row: usize| bytes[row * 4..row * 4 + 4].iter().any(|byte| *byte != 0);
    BooleanBuffer::collect_bool(rows, word)
}

/// A column of some bytes. All NaNs are made one, and what lies under nulls is zero.
///
/// # Errors
/// If they are no such column.
pub(crate) fn column(
    data_type: &DataType,
    mut bytes: Vec<u8>,
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    let width = row_bytes(data_type) as usize;
    bytes.truncate(rows * width);
    for row in nulls.iter().flat_map(|nulls| (0..rows).filter(|row| nulls.is_null(*row))) {
        bytes[row * width..(row + 1) * width].fill(0);
    }
    match Values::of(data_type).item {
        DataType::Float16 => one_nan::<Float16Type, 2>(&mut bytes, |bytes| {
            let bits = u16::from_le_bytes(bytes);
            ((bits & 0x7fff) > 0x7c00).then(|| 0x7e00_u16.to_le_bytes())
        }),
        DataType::Float32 => one_nan::<Float32Type, 4>(&mut bytes, |bytes| {
            f32::from_le_bytes(bytes).is_nan().then(|| f32::NAN.to_le_bytes())
        }),
        DataType::Float64 => one_nan::<Float64Type, 8>(&mut bytes, |bytes| {
            f64::from_le_bytes(bytes).is_nan().then(|| f64::NAN.to_le_bytes())
        }),
        _ => {}
    }
    assembled(data_type, &bytes, rows, nulls, flags)
}

/// A column of bytes that were brought on the device into the form in which a kernel reads them.
///
/// # Errors
/// If they are no such column.
pub(crate) fn settled(
    data_type: &DataType,
    bytes: &[u8],
    rows: usize,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef, ArrowError> {
    assembled(data_type, bytes, rows, nulls, bits)
}

/// Bits that say yes or no.
pub(crate) fn bits(bytes: &[u8], count: usize) -> BooleanBuffer {
    BooleanBuffer::new(Buffer::from_slice_ref(bytes), 0, count)
}

fn assembled(
    data_type: &DataType,
    bytes: &[u8],
    rows: usize,
    nulls: Option<NullBuffer>,
    flags: fn(&[u8], usize) -> BooleanBuffer,
) -> Result<ArrayRef, ArrowError> {
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    if let DataType::FixedSizeList(item, count) = data_type {
        let items = assembled(item.data_type(), bytes, rows * usize::try_from(*count).unwrap_or(0), None, flags)?;
        return Ok(Arc::new(FixedSizeListArray::try_new(item.clone(), *count, items, nulls)?));
    }
    if data_type == &DataType::Boolean {
        return Ok(Arc::new(BooleanArray::new(flags(bytes, rows), nulls)));
    }
    let bytes = &bytes[..rows * row_bytes(data_type) as usize];
    // Bytes of a vector may lie anywhere; Arrow's are aligned.
    let data = ArrayData::builder(data_type.clone()).len(rows).add_buffer(Buffer::from_slice_ref(bytes));
    Ok(make_array(data.nulls(nulls).build()?))
}

/// Puts one NaN in the place of each: adapters make different ones of the same numbers.
fn one_nan<T: ArrowPrimitiveType, const WIDTH: usize>(
    bytes: &mut [u8],
    nan: impl Fn([u8; WIDTH]) -> Option<[u8; WIDTH]>,
) {
    debug_assert_eq!(size_of::<T::Native>(), WIDTH);
    for value in bytes.as_chunks_mut::<WIDTH>().0 {
        if let Some(nan) = nan(*value) {
            *value = nan;
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_schema::Field;

    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn every_nan_is_the_same_one() {
        let odd = [0x7fc0_0001, 0xffc0_0000, 0x7f80_0001, 1.5f32.to_bits()];
        let column = column(&DataType::Float32, words(&odd), 4, None).unwrap();
        let bits: Vec<u32> = column.as_primitive::<Float32Type>().values().iter().map(|f| f.to_bits()).collect();
        let nan = f32::NAN.to_bits();
        assert_eq!(bits, [nan, nan, nan, 1.5f32.to_bits()]);
        let wide = super::column(&DataType::Float64, words(&[1, 0xfff8_0000]), 1, None).unwrap();
        assert_eq!(wide.as_primitive::<Float64Type>().value(0).to_bits(), f64::NAN.to_bits());
        let half = super::column(&DataType::Float16, vec![1, 0xfe, 0, 0x7c], 2, None).unwrap();
        let bits: Vec<u16> = half.as_primitive::<Float16Type>().values().iter().map(|f| f.to_bits()).collect();
        assert_eq!(bits, [0x7e00, 0x7c00]);
    }

    #[test]
    fn columns_are_made_of_rows_with_zeros_under_nulls() {
        let nulls = Some(NullBuffer::from(vec![true, false]));
        let flags = column(&DataType::Boolean, words(&[7, 1]), 2, nulls.clone()).unwrap();
        assert_eq!((flags.as_boolean().value(0), flags.is_null(1)), (true, true));
        let list = DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::UInt32, false)), 2);
        assert_eq!(row_bytes(&list), 8);
        let lists = column(&list, words(&[1, 2, 3, 4]), 2, nulls).unwrap();
        assert_eq!(lists.null_count(), 1);
        let items = lists.as_fixed_size_list().values();
        assert_eq!(items.as_primitive::<arrow_array::types::UInt32Type>().values(), &[1, 2, 0, 0]);
        let dates = column(&DataType::Date32, words(&[1, 2, 9]), 2, None).unwrap();
        assert_eq!(dates.len(), 2);
    }
}
