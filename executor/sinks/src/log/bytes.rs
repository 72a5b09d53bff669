//! The bytes of columns, as parts of records have them.

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, LargeBinaryArray};
use arrow_schema::{ArrowError, DataType};

use crate::formats::plain::plain_array;

pub(super) fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

/// The bytes of a column's values.
pub(super) fn bytes(column: &ArrayRef) -> Result<LargeBinaryArray, ArrowError> {
    let column = plain_array(column)?;
    let column = match is_binary(column.data_type()) {
        true => column,
        false => arrow_cast::cast(&column, &DataType::LargeUtf8)?,
    };
    Ok(arrow_cast::cast(&column, &DataType::LargeBinary)?.as_binary().clone())
}
