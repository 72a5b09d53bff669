//! Dictionaries: each value used once, in order of first appearance.

use std::collections::HashMap;

use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::{ArrowNativeType, NullBuffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use super::{bits, compact as compact_child, finish, gather, like};
use crate::{ColumnsError, chunk_digest};

/// Runs an expression with `$K` standing for the Arrow type of a dictionary's keys.
macro_rules! with_key_type {
    ($data_type:expr, $K:ident => $body:expr) => {
        match $data_type {
            DataType::Int8 => {
                type $K = Int8Type;
                $body
            }
            DataType::Int16 => {
                type $K = Int16Type;
                $body
            }
            DataType::Int32 => {
                type $K = Int32Type;
                $body
            }
            DataType::UInt8 => {
                type $K = UInt8Type;
                $body
            }
            DataType::UInt16 => {
                type $K = UInt16Type;
                $body
            }
            DataType::UInt32 => {
                type $K = UInt32Type;
                $body
            }
            DataType::UInt64 => {
                type $K = UInt64Type;
                $body
            }
            _ => {
                type $K = Int64Type;
                $body
            }
        }
    };
}
pub(crate) use with_key_type;

/// Numbers different values in order of first appearance.
#[derive(Default)]
pub(crate) struct Interner(HashMap<Box<[u8]>, usize>);

impl Interner {
    /// The number of a value, and whether it is new.
    pub(crate) fn intern(&mut self, value: &[u8]) -> (usize, bool) {
        if let Some(&number) = self.0.get(value) {
            return (number, false);
        }
        let number = self.0.len();
        self.0.insert(value.into(), number);
        (number, true)
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Bytes per value of a canonical array without nulls, equal where values are equal.
pub(crate) fn value_keys(values: &ArrayData) -> Vec<Box<[u8]>> {
    let array = make_array(values.clone());
    (0..values.len()).map(|row| value_key(values, &array, row)).collect()
}

fn value_key(values: &ArrayData, array: &ArrayRef, row: usize) -> Box<[u8]> {
    fn slice<O: ArrowNativeType>(values: &ArrayData, row: usize) -> Box<[u8]> {
        let offsets = values.buffers()[0].typed_data::<O>();
        values.buffers()[1][offsets[row].as_usize()..offsets[row + 1].as_usize()].into()
    }
    match values.data_type() {
        DataType::Utf8 | DataType::Binary => slice::<i32>(values, row),
        DataType::LargeUtf8 | DataType::LargeBinary => slice::<i64>(values, row),
        other => match other.primitive_width() {
            Some(width) => values.buffers()[0][row * width..(row + 1) * width].into(),
            None => match super::compact(&array.slice(row, 1).to_data(), None) {
                Ok(one) => Box::new(chunk_digest(&make_array(one))),
                Err(_) => Box::default(),
            },
        },
    }
}

pub(super) fn compact(data: &ArrayData, nulls: Option<NullBuffer>) -> Result<ArrayData, ColumnsError> {
    with_key_type!(key_type(data), K => typed::<K>(data, nulls))
}

/// The type of a dictionary's keys.
pub(crate) fn key_type(data: &ArrayData) -> &DataType {
    match data.data_type() {
        DataType::Dictionary(key, _) => key,
        other => other,
    }
}

fn typed<K: ArrowDictionaryKeyType>(data: &ArrayData, nulls: Option<NullBuffer>) -> Result<ArrayData, ColumnsError> {
    let keys = ScalarBuffer::<K::Native>::new(data.buffers()[0].clone(), 0, data.len());
    let values = &data.child_data()[0];
    let nulls = with_null_values::<K>(&keys, values, nulls);
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));

    let mut order = Order::new(values.len());
    let places: Vec<usize> =
        keys.iter().enumerate().map(|(row, key)| if valid(row) { order.place(key.as_usize()) } else { 0 }).collect();
    let used = compact_child(&gather::rows(values, &order.used)?, None)?;

    let (renumbered, distinct) = distinct(&used);
    let values = match distinct.len() == used.len() {
        true => used,
        false => compact_child(&gather::rows(&used, &distinct)?, None)?,
    };
    let place = |row: usize| if valid(row) { renumbered[places[row]] } else { 0 };
    let keys: ScalarBuffer<K::Native> = (0..data.len()).map(|row| K::Native::usize_as(place(row))).collect();
    Ok(finish(like(data, nulls).add_buffer(keys.into_inner()).add_child_data(values)))
}

/// Nulls of the keys and of the values that they point to.
fn with_null_values<K: ArrowDictionaryKeyType>(
    keys: &ScalarBuffer<K::Native>,
    values: &ArrayData,
    nulls: Option<NullBuffer>,
) -> Option<NullBuffer> {
    let Some(value_nulls) = make_array(values.clone()).logical_nulls().filter(|nulls| nulls.null_count() > 0) else {
        return nulls;
    };
    let valid = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
    let both: NullBuffer =
        keys.iter().enumerate().map(|(row, key)| valid(row) && value_nulls.is_valid(key.as_usize())).collect();
    (both.null_count() > 0).then(|| NullBuffer::new(bits::aligned(both.inner())))
}

/// The values used, in order of first appearance.
struct Order {
    places: Vec<usize>,
    used: Vec<Option<usize>>,
}

impl Order {
    const UNSEEN: usize = usize::MAX;

    fn new(values: usize) -> Self {
        Self { places: vec![Self::UNSEEN; values], used: Vec::new() }
    }

    fn place(&mut self, key: usize) -> usize {
        if self.places[key] == Self::UNSEEN {
            self.places[key] = self.used.len();
            self.used.push(Some(key));
        }
        self.places[key]
    }
}

/// For each value the number of the first one equal to it, and the rows of those first ones.
fn distinct(values: &ArrayData) -> (Vec<usize>, Vec<Option<usize>>) {
    let mut interner = Interner::default();
    let mut firsts = Vec::new();
    let mut number = |(row, key): (usize, Box<[u8]>)| {
        let (number, new) = interner.intern(&key);
        if new {
            firsts.push(Some(row));
        }
        number
    };
    let numbers = value_keys(values).into_iter().enumerate().map(&mut number).collect();
    (numbers, firsts)
}
