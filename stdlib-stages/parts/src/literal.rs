//! Values of a config as values of a column's type, exactly.

use flowc_sdk::prelude::*;
use flowc_sdk::serde_json::{Number, Value as Json};

use crate::convert::Writer;
use crate::scalars::Value;

/// A column of one value of this type, which is not that of a dictionary. Dates, times and decimals may be text.
///
/// # Errors
/// If the value is none of the type.
pub fn literal(data_type: &DataType, value: &Json) -> Result<ArrayRef> {
    let wrong = || Problem::new(format!("{value} is no value of {data_type}"));
    let number = |number: &Number| {
        let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        whole.map(|whole| Value::Number(whole, 0)).or_else(|| number.as_f64().map(Value::Float))
    };
    let given = match value {
        Json::Bool(truth) => Value::Bool(*truth),
        Json::String(text) => Value::Text(text),
        Json::Number(given) => number(given).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    let mut writer = Writer::new(data_type, false)?;
    let fits = match data_type {
        DataType::Boolean => matches!(given, Value::Bool(_)),
        numbers if numbers.is_floating() || numbers.is_integer() => {
            matches!(given, Value::Number(..) | Value::Float(_))
        }
        decimals if decimals.is_decimal() => !matches!(given, Value::Bool(_)),
        _ => matches!(given, Value::Text(_)),
    };
    if !fits {
        return Err(wrong());
    }
    writer.push(given).map_err(|misfit| Problem::new(misfit.told(&value.to_string(), data_type)))?;
    writer.finish()
}
