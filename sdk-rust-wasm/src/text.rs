//! Text columns of any kind as one kind.

use std::sync::Arc;

use crate::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use crate::arrow::datatypes::DataType;

use crate::problem::{Problem, Result};

/// A text column as `Utf8`; without a copy if it is that already.
///
/// # Errors
/// If the column is no text.
pub fn text(array: &ArrayRef) -> Result<StringArray> {
    match array.data_type() {
        DataType::Utf8 => Ok(array.as_string::<i32>().clone()),
        DataType::LargeUtf8 => Ok(array.as_string::<i64>().iter().collect()),
        DataType::Utf8View => Ok(array.as_string_view().iter().collect()),
        other => Err(Problem::new(format!("{other} is not text"))),
    }
}

/// Text as a column.
pub fn column(texts: StringArray) -> ArrayRef {
    Arc::new(texts)
}
