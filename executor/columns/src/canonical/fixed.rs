//! Values of a fixed width, and booleans.

use arrow_buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use super::{bits, finish, like};

pub(super) fn booleans(data: &ArrayData, nulls: Option<NullBuffer>) -> ArrayData {
    let values = BooleanBuffer::new(data.buffers()[0].clone(), data.offset(), data.len());
    let values = match &nulls {
        Some(nulls) => bits::aligned(&(&values & nulls.inner())),
        None => bits::aligned(&values),
    };
    finish(like(data, nulls).add_buffer(values.into_inner()))
}

/// Numbers, times, intervals, decimals, fixed-size binaries.
pub(super) fn values(data: &ArrayData, nulls: Option<NullBuffer>) -> ArrayData {
    let width = width(data.data_type());
    let values = data.buffers()[0].slice_with_length(0, data.len() * width);
    let values = match &nulls {
        Some(nulls) => zero_nulls(values, width, nulls),
        None => values,
    };
    finish(like(data, nulls).add_buffer(values))
}

fn width(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeBinary(width) => *width as usize,
        other => other.primitive_width().unwrap_or(0),
    }
}

fn zero_nulls(values: Buffer, width: usize, nulls: &NullBuffer) -> Buffer {
    let rows = bits::null_rows(nulls);
    if rows.iter().all(|row| values[row * width..(row + 1) * width].iter().all(|&byte| byte == 0)) {
        return values;
    }
    let mut copy = MutableBuffer::from_len_zeroed(values.len());
    copy.copy_from_slice(&values);
    for row in rows {
        copy[row * width..(row + 1) * width].fill(0);
    }
    copy.into()
}
