//! The columns of a schema.

use std::sync::Arc;

use arrow_avro::reader::{Decoder, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};
use flowc_platform::guarded;

use crate::fault::SchemaError;

/// More rows than a batch ever has: decoders are emptied by hand.
const ROWS: usize = usize::MAX >> 1;

/// The columns of the rows whose schema this is.
///
/// # Errors
/// If it is no schema of a record, or has a field that no column holds: a union of several types, a type that holds itself.
pub fn columns(schema: &str) -> Result<SchemaRef, SchemaError> {
    let native = native(schema)?;
    let fields = native.fields().iter().map(|field| column(field, "")).collect::<Result<Vec<_>, _>>()?;
    if fields.is_empty() {
        return Err(SchemaError::Invalid { format: "Avro", reason: "the record has no fields".to_owned() });
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// What `arrow-avro` makes of a schema.
pub(super) fn native(schema: &str) -> Result<SchemaRef, SchemaError> {
    let decoder = decoder(0, schema, schema, None)?;
    let native = decoder.schema();
    native.fields().iter().try_for_each(|field| check_widths(field, ""))?;
    Ok(native)
}

/// A decoder of records of one id: from the schema in which they were written to that in which they are read.
pub(super) fn decoder(
    id: u32,
    written: &str,
    read: &str,
    projection: Option<&[usize]>,
) -> Result<Decoder, SchemaError> {
    let invalid = |reason: String| SchemaError::Invalid { format: "Avro", reason };
    let build = || -> Result<Decoder, ArrowError> {
        let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
        store.set(Fingerprint::Id(id), AvroSchema::new(plain(written)?))?;
        let builder = ReaderBuilder::new().with_batch_size(ROWS).with_tz(arrow_avro::codec::Tz::Utc);
        let builder = builder.with_writer_schema_store(store).with_reader_schema(AvroSchema::new(plain(read)?));
        match projection {
            Some(projection) => builder.with_projection(projection.to_vec()).build_decoder(),
            None => builder.build_decoder(),
        }
    };
    guarded(build).map_err(invalid)?.map_err(|error| invalid(said(&error)))
}

/// The schema with nothing escaped that need not be: `arrow-avro` borrows names from the text.
pub(super) fn plain(schema: &str) -> Result<String, ArrowError> {
    let parsed: serde_json::Value =
        serde_json::from_str(schema).map_err(|error| ArrowError::ParseError(format!("it is no JSON: {error}")))?;
    Ok(parsed.to_string())
}

/// What an error says, without its kind.
pub(super) fn said(error: &ArrowError) -> String {
    match error {
        ArrowError::ParseError(text)
        | ArrowError::SchemaError(text)
        | ArrowError::AvroError(text)
        | ArrowError::InvalidArgumentError(text)
        | ArrowError::ComputeError(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Refuses lists whose items have no bytes: a few bytes could claim any number of them.
fn check_widths(field: &Field, path: &str) -> Result<(), SchemaError> {
    let path = joined(path, field.name());
    match field.data_type() {
        DataType::List(item) if is_empty(item) => Err(SchemaError::field(
            &path,
            "is an array of items without bytes, of which a record could claim any number",
        )),
        DataType::List(item) => check_widths(item, &path),
        DataType::Struct(fields) => fields.iter().try_for_each(|field| check_widths(field, &path)),
        DataType::Map(entries, _) => check_widths(entries, &path),
        DataType::Union(fields, _) => fields.iter().try_for_each(|(_, field)| check_widths(field, &path)),
        _ => Ok(()),
    }
}

fn is_empty(field: &Field) -> bool {
    match field.data_type() {
        DataType::Null | DataType::FixedSizeBinary(0) => !field.is_nullable() || *field.data_type() == DataType::Null,
        DataType::Struct(fields) => !field.is_nullable() && fields.iter().all(|field| is_empty(field)),
        _ => false,
    }
}

/// The column of a native field.
fn column(field: &Field, path: &str) -> Result<Field, SchemaError> {
    let path = joined(path, field.name());
    let within = |field: &Field, name: &str| -> Result<Arc<Field>, SchemaError> {
        let inner = column(field, path.trim_end_matches(field.name().as_str()))?;
        Ok(Arc::new(inner.with_name(name)))
    };
    let data_type = match field.data_type() {
        DataType::Dictionary(..) => DataType::Utf8,
        DataType::FixedSizeBinary(16) if is_uuid(field) => DataType::Utf8,
        DataType::Union(..) => {
            let reason = "is a union of several types, which no column holds; leave it out of the schema that is read, or make \
                          it a union of one type and null";
            return Err(SchemaError::field(&path, reason));
        }
        DataType::List(item) => {
            DataType::List(Arc::new(column(&item.as_ref().clone().with_name("[]"), &path)?.with_name("item")))
        }
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| column(field, &path)).collect::<Result<Fields, _>>()?)
        }
        DataType::Map(entries, sorted) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return Err(SchemaError::field(&path, "is a map without entries"));
            };
            let [key, value] = &pair[..] else {
                return Err(SchemaError::field(&path, "is a map without keys or values"));
            };
            let pair = Fields::from(vec![within(key, "key")?, within(value, "value")?]);
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair), false)), *sorted)
        }
        other => other.clone(),
    };
    // The type `null` has no value but null.
    let is_nullable = field.is_nullable() || data_type == DataType::Null;
    Ok(Field::new(field.name(), data_type, is_nullable))
}

/// Whether sixteen bytes are a UUID, which columns have as text.
pub(super) fn is_uuid(field: &Field) -> bool {
    field.metadata().get("logicalType").is_some_and(|logical| logical.trim_matches('"') == "uuid")
}

fn joined(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_owned(),
        (path, "[]") => format!("{path}[]"),
        (path, name) => format!("{path}.{name}"),
    }
}
