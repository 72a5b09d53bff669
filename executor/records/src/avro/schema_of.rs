//! The schema of Avro that follows from columns.

use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use serde_json::{Value, json};

use crate::fault::SchemaError;

/// A schema whose records hold rows with these columns, as JSON. Equal columns give equal texts. `name` is the record's, in letters that Avro
/// allows.
///
/// # Errors
/// The first column whose name or type Avro does not have.
pub fn schema_of_columns(rows: &Schema, name: &str) -> Result<String, SchemaError> {
    Ok(record(rows.fields(), name, "")?.to_string())
}

fn record(fields: &Fields, name: &str, path: &str) -> Result<Value, SchemaError> {
    let field = |field: &std::sync::Arc<Field>| {
        let path = if path.is_empty() { field.name().clone() } else { format!("{path}.{}", field.name()) };
        check_name(field.name(), &path)?;
        let own = type_of(field, &format!("{name}_{}", field.name()), &path)?;
        Ok(json!({ "name": field.name(), "type": own }))
    };
    let fields = fields.iter().map(field).collect::<Result<Vec<Value>, SchemaError>>()?;
    Ok(json!({ "type": "record", "name": name, "fields": fields }))
}

fn check_name(name: &str, path: &str) -> Result<(), SchemaError> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let reason = "has a name that Avro does not have: letters, digits and `_`, no digit first; rename it in a stage before the sink";
    if is_name { Ok(()) } else { Err(SchemaError::column(path, reason)) }
}

/// The type of a field, a union with null where it may be null.
fn type_of(field: &Field, name: &str, path: &str) -> Result<Value, SchemaError> {
    let own = own_type(field.data_type(), name, path)?;
    Ok(if field.is_nullable() && own != json!("null") { json!(["null", own]) } else { own })
}

fn own_type(data_type: &DataType, name: &str, path: &str) -> Result<Value, SchemaError> {
    use DataType::*;
    let logical = |own: &str, logical: &str| json!({ "type": own, "logicalType": logical });
    let decimal = |precision: &u8, scale: &i8| json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale });
    let refuse = |reason: &str| Err(SchemaError::column(path, format!("has type {data_type}, {reason}")));
    Ok(match data_type {
        Null => json!("null"),
        Boolean => json!("boolean"),
        Int8 | Int16 | Int32 | UInt8 | UInt16 => json!("int"),
        Int64 | UInt32 => json!("long"),
        UInt64 => return refuse("which no integer of Avro holds; cast it to Int64 or Decimal128(20, 0)"),
        Float16 | Float32 => json!("float"),
        Float64 => json!("double"),
        Utf8 | LargeUtf8 | Utf8View => json!("string"),
        Binary | LargeBinary | BinaryView => json!("bytes"),
        FixedSizeBinary(size) if *size > 0 => json!({ "type": "fixed", "name": name, "size": size }),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale)
            if *scale >= 0 =>
        {
            decimal(precision, scale)
        }
        Date32 | Date64 => logical("int", "date"),
        Time32(_) => logical("int", "time-millis"),
        Time64(TimeUnit::Microsecond) => logical("long", "time-micros"),
        Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Second | TimeUnit::Millisecond => "millis",
                TimeUnit::Microsecond => "micros",
                TimeUnit::Nanosecond => "nanos",
            };
            let kind = if zone.is_some() { "timestamp" } else { "local-timestamp" };
            logical("long", &format!("{kind}-{unit}"))
        }
        Dictionary(_, value) => own_type(value, name, path)?,
        List(item) | LargeList(item) | FixedSizeList(item, _) => {
            json!({ "type": "array", "items": type_of(item, &format!("{name}_item"), &format!("{path}[]"))? })
        }
        Struct(fields) => record(fields, name, path)?,
        Map(entries, _) => match entries.data_type() {
            Struct(pair) if pair.len() == 2 && matches!(pair[0].data_type(), Utf8 | LargeUtf8 | Utf8View) => {
                json!({ "type": "map", "values": type_of(&pair[1], &format!("{name}_value"), &format!("{path}.*"))? })
            }
            _ => return refuse("and maps of Avro have keys of text"),
        },
        _ => return refuse("which Avro does not have; turn it into another type in a stage before the sink"),
    })
}
