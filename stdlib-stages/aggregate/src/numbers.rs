//! Columns of numbers of any type as numbers of few types.

use flowc_sdk::arrow::array::PrimitiveArray;
use flowc_sdk::arrow::buffer::ScalarBuffer;
use flowc_sdk::arrow::datatypes::*;
use flowc_sdk::prelude::*;
use stage_parts::{plain, plain_type};

/// What kind of numbers a column has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Signed,
    Unsigned,
    Float,
    /// Whole numbers of up to 38 digits, and how many of those are behind the point.
    Decimal(i8),
    /// The same, of more digits.
    WideDecimal(i8),
}

impl Kind {
    /// That of a column's type, if it has numbers.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match plain_type(data_type) {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Self::Signed,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => Self::Unsigned,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale) | DataType::Decimal128(_, scale) => {
                Self::Decimal(*scale)
            }
            DataType::Decimal256(_, scale) => Self::WideDecimal(*scale),
            _ => return None,
        })
    }

    /// The type of sums.
    pub(crate) fn sum_type(self) -> DataType {
        match self {
            Self::Signed => DataType::Int64,
            Self::Unsigned => DataType::UInt64,
            Self::Float => DataType::Float64,
            Self::Decimal(scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale),
            Self::WideDecimal(scale) => DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale),
        }
    }

    /// How many digits are behind the point of a whole number that stands for the value.
    pub(crate) fn scale(self) -> i8 {
        match self {
            Self::Decimal(scale) | Self::WideDecimal(scale) => scale,
            Self::Signed | Self::Unsigned | Self::Float => 0,
        }
    }
}

/// The values of a column. Those under nulls may be anything.
pub(crate) enum Numbers {
    Signed(ScalarBuffer<i64>),
    Unsigned(ScalarBuffer<u64>),
    Float(ScalarBuffer<f64>),
    Wide(ScalarBuffer<i128>),
    Huge(ScalarBuffer<i256>),
}

impl Numbers {
    /// Those of a column, without its dictionary.
    pub(crate) fn of(array: &ArrayRef) -> Result<Self> {
        let array = &plain(array)?;
        Ok(match array.data_type() {
            DataType::Int8 => Self::Signed(widened::<Int8Type, i64>(array)),
            DataType::Int16 => Self::Signed(widened::<Int16Type, i64>(array)),
            DataType::Int32 => Self::Signed(widened::<Int32Type, i64>(array)),
            DataType::Int64 => Self::Signed(array.as_primitive::<Int64Type>().values().clone()),
            DataType::UInt8 => Self::Unsigned(widened::<UInt8Type, u64>(array)),
            DataType::UInt16 => Self::Unsigned(widened::<UInt16Type, u64>(array)),
            DataType::UInt32 => Self::Unsigned(widened::<UInt32Type, u64>(array)),
            DataType::UInt64 => Self::Unsigned(array.as_primitive::<UInt64Type>().values().clone()),
            DataType::Float16 => {
                let halves: &PrimitiveArray<Float16Type> = array.as_primitive();
                Self::Float(halves.values().iter().map(|half| half.to_f64()).collect())
            }
            DataType::Float32 => Self::Float(widened::<Float32Type, f64>(array)),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().values().clone()),
            DataType::Decimal32(..) => Self::Signed(widened::<Decimal32Type, i64>(array)),
            DataType::Decimal64(..) => Self::Signed(array.as_primitive::<Decimal64Type>().values().clone()),
            DataType::Decimal128(..) => Self::Wide(array.as_primitive::<Decimal128Type>().values().clone()),
            DataType::Decimal256(..) => Self::Huge(array.as_primitive::<Decimal256Type>().values().clone()),
            other => return Err(Problem::new(format!("{other} is no type of numbers"))),
        })
    }
}

fn widened<T: ArrowPrimitiveType, W: ArrowNativeType + From<T::Native>>(array: &ArrayRef) -> ScalarBuffer<W> {
    array.as_primitive::<T>().values().iter().map(|&value| W::from(value)).collect()
}

/// Calls `each` with every row that is not null.
#[inline]
pub(crate) fn valid_rows(array: &ArrayRef, mut each: impl FnMut(usize)) {
    match array.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
        None => (0..array.len()).for_each(each),
        Some(nulls) => nulls.valid_indices().for_each(&mut each),
    }
}
