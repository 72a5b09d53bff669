//! The columns of a message.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowc_planner::plan::ProtobufFormat;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::fault::SchemaError;

/// A message type, and whether its records begin with an id of a registry.
#[derive(Clone)]
pub struct Message {
    pub(super) descriptor: MessageDescriptor,
    pub(super) is_framed: bool,
}

impl Message {
    /// The message that a format names.
    ///
    /// # Errors
    /// If the descriptors are none, or lack the message.
    pub fn new(format: &ProtobufFormat) -> Result<Self, SchemaError> {
        let invalid = |reason: String| SchemaError::Invalid { format: "Protocol Buffers", reason };
        let hint = "`descriptors` names a `.proto` file, or one that `protoc --include_imports --descriptor_set_out=FILE` wrote";
        let bytes = STANDARD.decode(&format.descriptors).map_err(|error| invalid(format!("{error}; {hint}")))?;
        let pool = DescriptorPool::decode(&bytes[..]).map_err(|error| invalid(format!("{error}; {hint}")))?;
        let descriptor = pool.get_message_by_name(&format.message).ok_or_else(|| {
            let names: Vec<String> = pool.all_messages().map(|message| format!("`{}`", message.full_name())).collect();
            let shown = names.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
            invalid(format!("there is no message `{}` in the descriptors; they have {shown}", format.message))
        })?;
        Ok(Self { descriptor, is_framed: format.registry.is_some() })
    }
}

/// The columns of the rows that messages are.
///
/// # Errors
/// If there is no such message, or it has a field that no column holds, such as one of a message that holds itself.
pub fn columns(format: &ProtobufFormat) -> Result<SchemaRef, SchemaError> {
    let message = Message::new(format)?;
    let fields = fields_of(&message.descriptor, &mut Vec::new(), "")?;
    if fields.is_empty() {
        return Err(SchemaError::Invalid {
            format: "Protocol Buffers",
            reason: "the message has no fields".to_owned(),
        });
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn fields_of(message: &MessageDescriptor, within: &mut Vec<String>, path: &str) -> Result<Fields, SchemaError> {
    if within.iter().any(|name| name == message.full_name()) {
        let reason = format!("is of the message `{}`, which holds itself: no column holds that", message.full_name());
        return Err(SchemaError::field(path.trim_end_matches('.'), reason));
    }
    within.push(message.full_name().to_owned());
    let fields = message.fields().map(|field| {
        let path = format!("{path}{}", field.name());
        Ok(Field::new(field.name(), data_type(&field, within, &path)?, is_nullable(&field)))
    });
    let fields = fields.collect::<Result<Fields, SchemaError>>();
    within.pop();
    fields
}

/// Whether a message may lack a field. Others have the type's zero where it is not written.
pub(super) fn is_nullable(field: &FieldDescriptor) -> bool {
    field.supports_presence()
        && !field.is_list()
        && !field.is_map()
        && field.cardinality() != prost_reflect::Cardinality::Required
}

fn data_type(field: &FieldDescriptor, within: &mut Vec<String>, path: &str) -> Result<DataType, SchemaError> {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else {
            return Err(SchemaError::field(path, "is a map without entries"));
        };
        let key = kind_type(&entry.map_entry_key_field().kind(), within, path)?;
        let value = kind_type(&entry.map_entry_value_field().kind(), within, &format!("{path}.*"))?;
        let pair = vec![Field::new("key", key, false), Field::new("value", value, false)];
        let entries = Field::new("entries", DataType::Struct(pair.into()), false);
        return Ok(DataType::Map(Arc::new(entries), false));
    }
    let own = kind_type(&field.kind(), within, path)?;
    Ok(if field.is_list() { DataType::List(Arc::new(Field::new("item", own, false))) } else { own })
}

fn kind_type(kind: &Kind, within: &mut Vec<String>, path: &str) -> Result<DataType, SchemaError> {
    Ok(match kind {
        Kind::Double => DataType::Float64,
        Kind::Float => DataType::Float32,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => DataType::Int32,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => DataType::Int64,
        Kind::Uint32 | Kind::Fixed32 => DataType::UInt32,
        Kind::Uint64 | Kind::Fixed64 => DataType::UInt64,
        Kind::Bool => DataType::Boolean,
        Kind::String | Kind::Enum(_) => DataType::Utf8,
        Kind::Bytes => DataType::Binary,
        Kind::Message(message) => match WellKnown::of(message) {
            Some(WellKnown::Timestamp) => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            Some(WellKnown::Wrapper(inner)) => kind_type(&inner, within, path)?,
            None => DataType::Struct(fields_of(message, within, &format!("{path}."))?),
        },
    })
}

/// Messages that stand for values.
pub(super) enum WellKnown {
    /// An instant.
    Timestamp,
    /// A scalar that may be missing.
    Wrapper(Kind),
}

impl WellKnown {
    pub(super) fn of(message: &MessageDescriptor) -> Option<Self> {
        match message.full_name().strip_prefix("google.protobuf.")? {
            "Timestamp" => Some(Self::Timestamp),
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
            | "BoolValue" | "StringValue" | "BytesValue" => {
                Some(Self::Wrapper(message.get_field_by_name("value")?.kind()))
            }
            _ => None,
        }
    }
}
