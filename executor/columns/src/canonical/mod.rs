//! The one physical form that the logical content of a chunk has.
//!
//! Offsets start at zero, bitmaps are aligned, their last byte is padded with zeros; a validity bitmap without nulls is
//! absent; under a null lies zero, or nothing; children hold what is referred to, in order. A child under a null of its
//! parent counts as null itself. Dictionaries hold each value used once, in order of first appearance, and no nulls.
//! Adjacent equal runs are one.
//!
//! What is canonical already is passed on without a copy.

mod bits;
mod bytes;
mod dictionary;
mod fixed;
mod gather;
mod lists;
mod runs;
mod unions;
mod views;

use arrow_array::{Array, ArrayRef, make_array};
use arrow_buffer::NullBuffer;
use arrow_data::{ArrayData, ArrayDataBuilder};
use arrow_schema::DataType;

use crate::ColumnsError;

pub(crate) use dictionary::{Interner, key_type, value_keys, with_key_type};

/// The canonical form of a chunk. Logically equal arrays of one type have equal canonical forms, byte for byte.
///
/// # Errors
/// If the values need wider offsets or dictionary keys than the type has.
pub fn canonical(array: &ArrayRef) -> Result<ArrayRef, ColumnsError> {
    Ok(make_array(compact(&array.to_data(), None)?))
}

/// The canonical form of an array whose rows are null as well where `mask` says so.
fn compact(data: &ArrayData, mask: Option<&NullBuffer>) -> Result<ArrayData, ColumnsError> {
    let rebased;
    let data = match data.data_type() {
        DataType::Boolean | DataType::RunEndEncoded(..) | DataType::Null => data,
        _ if data.offset() == 0 => data,
        _ => {
            rebased = make_array(data.clone()).to_data();
            &rebased
        }
    };
    let nulls = bits::nulls(data, mask);
    match data.data_type() {
        DataType::Null => Ok(ArrayData::new_null(&DataType::Null, data.len())),
        DataType::Boolean => Ok(fixed::booleans(data, nulls)),
        DataType::Utf8 | DataType::Binary => bytes::compact::<i32>(data, nulls),
        DataType::LargeUtf8 | DataType::LargeBinary => bytes::compact::<i64>(data, nulls),
        DataType::Utf8View | DataType::BinaryView => Ok(views::compact(data, nulls)),
        DataType::List(_) | DataType::Map(..) => lists::compact::<i32>(data, nulls),
        DataType::LargeList(_) => lists::compact::<i64>(data, nulls),
        DataType::ListView(_) => lists::compact_view::<i32>(data, nulls),
        DataType::LargeListView(_) => lists::compact_view::<i64>(data, nulls),
        DataType::FixedSizeList(_, size) => lists::compact_fixed(data, nulls, *size as usize),
        DataType::Struct(_) => structs(data, nulls),
        DataType::Union(..) => unions::compact(data, mask),
        DataType::Dictionary(..) => dictionary::compact(data, nulls),
        DataType::RunEndEncoded(..) => runs::compact(data, mask),
        _ => Ok(fixed::values(data, nulls)),
    }
}

fn structs(data: &ArrayData, nulls: Option<NullBuffer>) -> Result<ArrayData, ColumnsError> {
    let children = data.child_data().iter().map(|child| compact(child, nulls.as_ref()));
    let children = children.collect::<Result<Vec<_>, _>>()?;
    Ok(finish(like(data, nulls).child_data(children)))
}

/// A builder of the same type and length.
fn like(data: &ArrayData, nulls: Option<NullBuffer>) -> ArrayDataBuilder {
    ArrayData::builder(data.data_type().clone()).len(data.len()).nulls(nulls)
}

/// Ends a builder. Everything in this module takes valid arrays and moves whole values, so the result is valid too;
/// checking it again would cost more than making it.
fn finish(builder: ArrayDataBuilder) -> ArrayData {
    // SAFETY: lengths, offsets and text come from valid arrays, and each module keeps them consistent; the tests
    // validate the results in full.
    unsafe { builder.build_unchecked() }
}
