//! Columns in the types that were described.

use arrow_array::ArrayRef;
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType};

/// A column in the type that was described.
pub(super) fn described(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == data_type { Ok(column.clone()) } else { cast(column, data_type) }
}
