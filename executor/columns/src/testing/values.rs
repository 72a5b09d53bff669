//! Logical content, row by row: the oracle of the property tests.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

/// The logical content of one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// No value, for whatever reason.
    Null,
    /// Bytes of a number, a text, a binary, a boolean.
    Bytes(Vec<u8>),
    /// Elements of a list or a map, fields of a struct.
    Many(Vec<Value>),
    /// A value of a union, with its type's number.
    One(i8, Box<Value>),
}

/// The logical content of all rows.
pub fn values(array: &ArrayRef) -> Vec<Value> {
    (0..array.len()).map(|row| value(array, row)).collect()
}

fn value(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => bytes(&[array.as_boolean().value(row).into()]),
        DataType::Utf8 => bytes(array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => bytes(array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => bytes(array.as_string_view().value(row).as_bytes()),
        DataType::Binary => bytes(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytes(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(row)),
        DataType::List(_) => Value::Many(values(&array.as_list::<i32>().value(row))),
        DataType::LargeList(_) => Value::Many(values(&array.as_list::<i64>().value(row))),
        DataType::ListView(_) => Value::Many(values(&array.as_list_view::<i32>().value(row))),
        DataType::LargeListView(_) => Value::Many(values(&array.as_list_view::<i64>().value(row))),
        DataType::FixedSizeList(..) => Value::Many(values(&array.as_fixed_size_list().value(row))),
        DataType::Map(..) => {
            let entries: ArrayRef = std::sync::Arc::new(array.as_map().value(row));
            Value::Many(values(&entries))
        }
        DataType::Struct(_) => Value::Many(array.as_struct().columns().iter().map(|child| value(child, row)).collect()),
        DataType::Union(..) => {
            let array = array.as_union();
            let id = array.type_id(row);
            Value::One(id, Box::new(value(array.child(id), array.value_offset(row))))
        }
        DataType::Dictionary(..) => {
            let array = array.as_any_dictionary();
            value(array.values(), array.normalized_keys()[row])
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => run::<Int16Type>(array, row),
            DataType::Int32 => run::<Int32Type>(array, row),
            _ => run::<Int64Type>(array, row),
        },
        other => {
            let width = other.primitive_width().unwrap_or(0);
            let data = array.to_data();
            let start = (data.offset() + row) * width;
            bytes(&data.buffers()[0][start..start + width])
        }
    }
}

fn run<R: arrow_array::types::RunEndIndexType>(array: &ArrayRef, row: usize) -> Value {
    let array = array.as_run::<R>();
    value(array.values(), array.get_physical_index(row))
}
