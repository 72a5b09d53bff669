//! The kernel's single values as values of JSON.

use delta_kernel::expressions::Scalar;
use delta_kernel::{KernelError, KernelResult};
use serde_json::{Map, Value};

/// A value as the log has it. Fields of structs that are null are left out; values of maps are not.
pub(crate) fn value_of(scalar: &Scalar) -> KernelResult<Value> {
    Ok(match scalar {
        Scalar::Null(_) => Value::Null,
        Scalar::Boolean(value) => (*value).into(),
        Scalar::Byte(value) => (*value).into(),
        Scalar::Short(value) => (*value).into(),
        Scalar::Integer(value) => (*value).into(),
        Scalar::Long(value) => (*value).into(),
        Scalar::Float(value) => (*value).into(),
        Scalar::Double(value) => (*value).into(),
        Scalar::String(text) => text.as_str().into(),
        Scalar::Array(list) => Value::Array(list.array_elements().iter().map(value_of).collect::<KernelResult<_>>()?),
        Scalar::Map(map) => {
            let pair = |(key, value): &(Scalar, Scalar)| match value_of(key)? {
                Value::String(key) => Ok((key, value_of(value)?)),
                other => Err(KernelError::unsupported(format!("a map of a log with the key {other}"))),
            };
            Value::Object(map.pairs().iter().map(pair).collect::<KernelResult<_>>()?)
        }
        Scalar::Struct(fields) => {
            let mut object = Map::new();
            for (field, value) in fields.fields().iter().zip(fields.values()) {
                let value = value_of(value)?;
                if !value.is_null() {
                    object.insert(field.name().clone(), value);
                }
            }
            Value::Object(object)
        }
        other => return Err(KernelError::unsupported(format!("a value of type {} in a log", other.data_type()))),
    })
}
