//! Values of one column as numbers or bytes whose order is theirs, and back.

use flowc_sdk::arrow::array::{
    ArrayData, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, GenericByteArray, StringViewArray, make_array,
    new_null_array,
};
use flowc_sdk::arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use flowc_sdk::arrow::datatypes::{
    ArrowNativeType, BinaryType, ByteArrayType, Decimal256Type, LargeBinaryType, LargeUtf8Type, Utf8Type, i256,
};
use flowc_sdk::prelude::*;

use crate::word::Word;

/// How the order of a type's values comes from how they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ordering {
    /// There is one value: null.
    Null,
    /// One bit.
    Bool,
    /// Numbers of so many bits without a sign.
    Unsigned(u32),
    /// Numbers of so many bits in two's complement.
    Signed(u32),
    /// Floats of so many bits. `-0.0` and `0.0` are one value, and so are all NaN, above all numbers.
    Float(u32),
    /// Texts and bytes.
    Bytes,
    /// Numbers of 256 bits in two's complement.
    Big,
}

impl Ordering {
    /// That of a type's values; none for nested types and intervals.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        use DataType::*;
        Some(match data_type {
            Null => Self::Null,
            Boolean => Self::Bool,
            UInt8 => Self::Unsigned(8),
            UInt16 => Self::Unsigned(16),
            UInt32 => Self::Unsigned(32),
            UInt64 => Self::Unsigned(64),
            Int8 => Self::Signed(8),
            Int16 => Self::Signed(16),
            Int32 | Date32 | Time32(_) | Decimal32(..) => Self::Signed(32),
            Int64 | Date64 | Time64(_) | Timestamp(..) | Duration(_) | Decimal64(..) => Self::Signed(64),
            Decimal128(..) => Self::Signed(128),
            Decimal256(..) => Self::Big,
            Float16 => Self::Float(16),
            Float32 => Self::Float(32),
            Float64 => Self::Float(64),
            Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Self::Bytes,
            _ => return None,
        })
    }

    /// How many bits a value takes; none if that differs from value to value.
    pub(crate) fn bits(self) -> Option<u32> {
        match self {
            Self::Null => Some(0),
            Self::Bool => Some(1),
            Self::Unsigned(bits) | Self::Signed(bits) | Self::Float(bits) => Some(bits),
            Self::Bytes | Self::Big => None,
        }
    }
}

/// Whether values of a type can be compared: all but nested ones and intervals, dictionaries of such values too.
pub fn is_ordered(data_type: &DataType) -> bool {
    Ordering::of(crate::plain_type(data_type)).is_some()
}

/// Puts the values of a column behind what the words hold; nulls as zeros.
pub(crate) fn push<W: Word>(words: &mut [W], array: &ArrayRef, ordering: Ordering) -> Result<()> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
    let nulls = nulls.as_ref();
    match ordering {
        Ordering::Null => {}
        Ordering::Bool => {
            let bits = array.as_boolean().values().clone();
            put(words, 1, nulls, |row| u128::from(bits.value(row)));
        }
        Ordering::Float(width) => {
            let array = flowc_sdk::comparable(array)?;
            // Negative floats are in the reverse order of their bits.
            match width {
                16 => number::<u16, W>(words, &array, nulls, |bits| bits ^ (((bits as i16 >> 15) as u16) | 1 << 15)),
                32 => number::<u32, W>(words, &array, nulls, |bits| bits ^ (((bits as i32 >> 31) as u32) | 1 << 31)),
                _ => number::<u64, W>(words, &array, nulls, |bits| bits ^ (((bits as i64 >> 63) as u64) | 1 << 63)),
            }
        }
        Ordering::Unsigned(width) | Ordering::Signed(width) => {
            let sign = u128::from(matches!(ordering, Ordering::Signed(_))) << (width - 1);
            match width {
                8 => number::<u8, W>(words, array, nulls, |bits| bits ^ sign as u8),
                16 => number::<u16, W>(words, array, nulls, |bits| bits ^ sign as u16),
                32 => number::<u32, W>(words, array, nulls, |bits| bits ^ sign as u32),
                64 => number::<u64, W>(words, array, nulls, |bits| bits ^ sign as u64),
                _ => {
                    let values = numbers::<i128>(array);
                    put(words, 128, nulls, |row| values[row] as u128 ^ sign);
                }
            }
        }
        Ordering::Bytes | Ordering::Big => return Err(Problem::new("values of any length do not fit a number")),
    }
    Ok(())
}

fn number<T: ArrowNativeType + Into<u128>, W: Word>(
    words: &mut [W],
    array: &ArrayRef,
    nulls: Option<&NullBuffer>,
    code: impl Fn(T) -> T,
) {
    let values = numbers::<T>(array);
    put(words, 8 * size_of::<T>() as u32, nulls, |row| code(values[row]).into());
}

fn put<W: Word>(words: &mut [W], bits: u32, nulls: Option<&NullBuffer>, code: impl Fn(usize) -> u128) {
    match nulls {
        None => words.iter_mut().enumerate().for_each(|(row, word)| *word = word.push(bits, code(row))),
        Some(nulls) => words.iter_mut().enumerate().for_each(|(row, word)| {
            *word = word.push(bits, if nulls.is_valid(row) { code(row) } else { 0 });
        }),
    }
}

/// What the values of an array of fixed width are stored as.
pub(crate) fn numbers<T: ArrowNativeType>(array: &dyn Array) -> ScalarBuffer<T> {
    let data = array.to_data();
    ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len())
}

/// A column of values of any length, by row.
pub(crate) fn bytes<'a>(array: &'a ArrayRef) -> Box<dyn Fn(usize) -> &'a [u8] + 'a> {
    fn of<'a, T: ByteArrayType>(array: &'a GenericByteArray<T>) -> Box<dyn Fn(usize) -> &'a [u8] + 'a> {
        Box::new(move |row| array.value(row).as_ref())
    }
    match array.data_type() {
        DataType::Utf8 => of(array.as_bytes::<Utf8Type>()),
        DataType::LargeUtf8 => of(array.as_bytes::<LargeUtf8Type>()),
        DataType::Binary => of(array.as_bytes::<BinaryType>()),
        DataType::LargeBinary => of(array.as_bytes::<LargeBinaryType>()),
        DataType::Utf8View => Box::new(move |row| array.as_string_view().value(row).as_bytes()),
        DataType::BinaryView => Box::new(move |row| array.as_binary_view().value(row)),
        _ => Box::new(move |row| array.as_fixed_size_binary().value(row)),
    }
}

/// A number of 256 bits as bytes in the order of the numbers.
pub(crate) fn big(array: &ArrayRef, row: usize) -> [u8; 32] {
    let mut bytes = array.as_primitive::<Decimal256Type>().value(row).to_be_bytes();
    bytes[0] ^= 0x80;
    bytes
}

/// A column of values of fixed width from their codes, of which there is one even for a null.
pub(crate) fn from_codes(
    data_type: &DataType,
    ordering: Ordering,
    codes: &[u128],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    fn of<T: ArrowNativeType>(codes: &[u128], decode: impl Fn(u128) -> T) -> Buffer {
        codes.iter().map(|&code| decode(code)).collect::<ScalarBuffer<T>>().into_inner()
    }
    let buffer = match ordering {
        Ordering::Null => return Ok(new_null_array(data_type, codes.len())),
        Ordering::Bool => {
            let bits = codes.iter().map(|&code| code == 1).collect();
            return Ok(Arc::new(BooleanArray::new(bits, nulls)));
        }
        Ordering::Float(16) => of(codes, |code| unfloated::<16>(code) as u16),
        Ordering::Float(32) => of(codes, |code| unfloated::<32>(code) as u32),
        Ordering::Float(_) => of(codes, |code| unfloated::<64>(code) as u64),
        Ordering::Unsigned(width) | Ordering::Signed(width) => {
            let sign = u128::from(matches!(ordering, Ordering::Signed(_))) << (width - 1);
            match width {
                8 => of(codes, |code| (code ^ sign) as u8),
                16 => of(codes, |code| (code ^ sign) as u16),
                32 => of(codes, |code| (code ^ sign) as u32),
                64 => of(codes, |code| (code ^ sign) as u64),
                _ => of(codes, |code| (code ^ sign) as i128),
            }
        }
        Ordering::Bytes | Ordering::Big => return Err(Problem::new("values of any length do not come from numbers")),
    };
    let data = ArrayData::builder(data_type.clone()).len(codes.len()).add_buffer(buffer).nulls(nulls);
    Ok(make_array(data.build()?))
}

fn unfloated<const WIDTH: u32>(code: u128) -> u128 {
    let sign = 1 << (WIDTH - 1);
    if code & sign == 0 { !code } else { code ^ sign }
}

/// A column of values of any length, from their bytes one behind the other and where each ends.
pub(crate) fn from_bytes(
    data_type: &DataType,
    data: Vec<u8>,
    ends: &[usize],
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let start = |row: usize| if row == 0 { 0 } else { ends[row - 1] };
    let value = |row: usize| &data[start(row)..ends[row]];
    let shown = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)).then(|| value(row));
    let rows = 0..ends.len();
    fn small(ends: &[usize]) -> Result<OffsetBuffer<i32>> {
        let ends = ends.iter().map(|&end| Ok(i32::try_from(end)?));
        Ok(OffsetBuffer::new(std::iter::once(Ok(0)).chain(ends).collect::<Result<_>>()?))
    }
    let large = || OffsetBuffer::new(std::iter::once(0).chain(ends.iter().map(|&end| end as i64)).collect());
    Ok(match data_type {
        DataType::Utf8 => Arc::new(GenericByteArray::<Utf8Type>::try_new(small(ends)?, Buffer::from_vec(data), nulls)?),
        DataType::Binary => {
            Arc::new(GenericByteArray::<BinaryType>::try_new(small(ends)?, Buffer::from_vec(data), nulls)?)
        }
        DataType::LargeUtf8 => {
            Arc::new(GenericByteArray::<LargeUtf8Type>::try_new(large(), Buffer::from_vec(data), nulls)?)
        }
        DataType::LargeBinary => {
            Arc::new(GenericByteArray::<LargeBinaryType>::try_new(large(), Buffer::from_vec(data), nulls)?)
        }
        DataType::Utf8View => {
            let texts = rows.map(|row| shown(row).map(std::str::from_utf8).transpose());
            Arc::new(texts.collect::<std::result::Result<StringViewArray, _>>()?)
        }
        DataType::BinaryView => Arc::new(rows.map(shown).collect::<BinaryViewArray>()),
        DataType::FixedSizeBinary(size) => {
            let size = *size;
            let mut padded = vec![0; size as usize * ends.len()];
            for row in rows {
                if let Some(value) = shown(row).filter(|value| value.len() == size as usize) {
                    padded[row * size as usize..][..size as usize].copy_from_slice(value);
                }
            }
            Arc::new(FixedSizeBinaryArray::try_new(size, Buffer::from_vec(padded), nulls)?)
        }
        _ => {
            let number = |row: usize| shown(row).map_or(i256::ZERO, big_from);
            let buffer = rows.map(number).collect::<ScalarBuffer<i256>>().into_inner();
            let data = ArrayData::builder(data_type.clone()).len(ends.len()).add_buffer(buffer).nulls(nulls);
            make_array(data.build()?)
        }
    })
}

fn big_from(bytes: &[u8]) -> i256 {
    let number = bytes.first_chunk::<32>().map(|bytes| {
        let mut number = *bytes;
        number[0] ^= 0x80;
        i256::from_be_bytes(number)
    });
    number.unwrap_or(i256::ZERO)
}
