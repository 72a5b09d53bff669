//! Messages to rows: column by column, from the values that the messages of a batch have in each field.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    MapArray, RecordBatch, RecordBatchOptions, StringArray, StructArray, TimestampNanosecondArray, UInt32Array,
    UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field, Fields, SchemaRef};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::columns::{Message, WellKnown, is_nullable};
use super::framing;
use crate::fault::Fault;

/// Decodes messages of one type.
pub struct ProtobufDecoder {
    message: Message,
    indexes: Vec<u64>,
    /// The columns of the message.
    columns: SchemaRef,
    /// Those that are read.
    projection: Vec<usize>,
}

/// A value of a field; none where the message has none.
type Cell<'a> = Option<Cow<'a, Value>>;

impl ProtobufDecoder {
    /// A decoder of some of the columns of a message.
    pub fn new(message: Message, columns: &SchemaRef, projection: &[usize]) -> Self {
        let indexes = framing::indexes(&message.descriptor);
        Self { message, indexes, columns: columns.clone(), projection: projection.to_vec() }
    }

    /// A row per value, of nulls where there is none.
    ///
    /// # Errors
    /// If one of the values is no such message, or an enum in it has a number without a name.
    pub fn decode(&mut self, values: &BinaryArray) -> Result<RecordBatch, Fault> {
        let messages = values.iter().map(|value| value.map(|value| self.message(value)).transpose());
        let messages = messages.collect::<Result<Vec<Option<DynamicMessage>>, Fault>>()?;
        let borrowed: Vec<Option<&DynamicMessage>> = messages.iter().map(Option::as_ref).collect();
        let columns = self.projection.iter().map(|&column| {
            let field = self.columns.field(column);
            member(&self.message.descriptor, &borrowed, field)
        });
        let columns = columns.collect::<Result<Vec<_>, Fault>>()?;
        let schema = self.columns.project(&self.projection).map_err(Fault::record)?;
        let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
        RecordBatch::try_new_with_options(Arc::new(schema), columns, &options).map_err(Fault::record)
    }

    fn message(&self, value: &[u8]) -> Result<DynamicMessage, Fault> {
        let body = match self.message.is_framed {
            false => value,
            true => {
                let (indexes, body) = framing::take(value).map_err(Fault::Record)?;
                if indexes != self.indexes {
                    let name = self.message.descriptor.full_name();
                    return Err(Fault::record(format!(
                        "it is message {indexes:?} of its file, and `{name}` is message {:?}",
                        self.indexes
                    )));
                }
                body
            }
        };
        DynamicMessage::decode(self.message.descriptor.clone(), body).map_err(|error| {
            Fault::record(format!("it is no message `{}`: {error}", self.message.descriptor.full_name()))
        })
    }
}

/// The column of a field, of these messages.
fn member(message: &MessageDescriptor, messages: &[Option<&DynamicMessage>], field: &Field) -> Result<ArrayRef, Fault> {
    let of = message.get_field_by_name(field.name());
    let of = of.ok_or_else(|| Fault::record(format!("there is no field `{}`", field.name())))?;
    let cells: Vec<Cell<'_>> = messages.iter().map(|message| cell((*message)?, &of)).collect();
    field_array(&of, field.data_type(), &cells)
}

/// The value of a field of a message.
fn cell<'m>(message: &'m DynamicMessage, field: &FieldDescriptor) -> Cell<'m> {
    match is_nullable(field) && !message.has_field(field) {
        true => None,
        false => Some(message.get_field(field)),
    }
}

fn field_array(of: &FieldDescriptor, data_type: &DataType, cells: &[Cell<'_>]) -> Result<ArrayRef, Fault> {
    let nulls = || {
        let nulls = NullBuffer::from_iter(cells.iter().map(Option::is_some));
        (nulls.null_count() > 0).then_some(nulls)
    };
    match (data_type, of.is_list() || of.is_map()) {
        (DataType::List(item), true) => {
            let lists: Vec<&[Value]> = cells.iter().map(|cell| list_of(cell.as_deref())).collect();
            let offsets = OffsetBuffer::<i32>::from_lengths(lists.iter().map(|list| list.len()));
            let items: Vec<Cell<'_>> =
                lists.iter().flat_map(|list| list.iter().map(|item| Some(Cow::Borrowed(item)))).collect();
            let items = array(&of.kind(), item.data_type(), &items, of.name())?;
            Ok(Arc::new(ListArray::try_new(item.clone(), offsets, items, nulls()).map_err(Fault::record)?))
        }
        (DataType::Map(entries, sorted), true) => {
            let (Kind::Message(entry), DataType::Struct(pair)) = (of.kind(), entries.data_type()) else {
                return Err(Fault::record(format!("field `{}` is no map", of.name())));
            };
            let maps: Vec<Vec<(&MapKey, &Value)>> = cells.iter().map(|cell| entries_of(cell.as_deref())).collect();
            let offsets = OffsetBuffer::<i32>::from_lengths(maps.iter().map(Vec::len));
            let keys: Vec<Value> = maps.iter().flatten().map(|(key, _)| Value::from((*key).clone())).collect();
            let keys: Vec<Cell<'_>> = keys.iter().map(|key| Some(Cow::Borrowed(key))).collect();
            let values: Vec<Cell<'_>> = maps.iter().flatten().map(|(_, value)| Some(Cow::Borrowed(*value))).collect();
            let keys = array(&entry.map_entry_key_field().kind(), pair[0].data_type(), &keys, of.name())?;
            let values = array(&entry.map_entry_value_field().kind(), pair[1].data_type(), &values, of.name())?;
            let inner = StructArray::try_new(pair.clone(), vec![keys, values], None).map_err(Fault::record)?;
            let map = MapArray::try_new(entries.clone(), offsets, inner, nulls(), *sorted);
            Ok(Arc::new(map.map_err(Fault::record)?))
        }
        _ => array(&of.kind(), data_type, cells, of.name()),
    }
}

fn list_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_list).unwrap_or_default()
}

/// The entries of a map, by their keys: messages have them in any order.
fn entries_of(value: Option<&Value>) -> Vec<(&MapKey, &Value)> {
    let mut entries: Vec<_> = value.and_then(Value::as_map).into_iter().flatten().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
}

/// Values of one kind.
fn array(kind: &Kind, data_type: &DataType, cells: &[Cell<'_>], name: &str) -> Result<ArrayRef, Fault> {
    let values = || cells.iter().map(Option::as_deref);
    Ok(match kind {
        Kind::Double => Arc::new(values().map(|value| value?.as_f64()).collect::<Float64Array>()),
        Kind::Float => Arc::new(values().map(|value| value?.as_f32()).collect::<Float32Array>()),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            Arc::new(values().map(|value| value?.as_i32()).collect::<Int32Array>())
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            Arc::new(values().map(|value| value?.as_i64()).collect::<Int64Array>())
        }
        Kind::Uint32 | Kind::Fixed32 => Arc::new(values().map(|value| value?.as_u32()).collect::<UInt32Array>()),
        Kind::Uint64 | Kind::Fixed64 => Arc::new(values().map(|value| value?.as_u64()).collect::<UInt64Array>()),
        Kind::Bool => Arc::new(values().map(|value| value?.as_bool()).collect::<BooleanArray>()),
        Kind::String => Arc::new(values().map(|value| value?.as_str()).collect::<StringArray>()),
        Kind::Bytes => {
            Arc::new(values().map(|value| value?.as_bytes().map(|bytes| &bytes[..])).collect::<BinaryArray>())
        }
        Kind::Enum(of) => {
            let name_of = |value: Option<&Value>| -> Result<Option<String>, Fault> {
                let Some(number) = value.and_then(Value::as_enum_number) else { return Ok(None) };
                let found = of.get_value(number).map(|value| value.name().to_owned());
                let unknown = || format!("field `{name}`: the enum `{}` has no name for {number}", of.full_name());
                found.map(Some).ok_or_else(|| Fault::Record(unknown()))
            };
            Arc::new(values().map(name_of).collect::<Result<StringArray, Fault>>()?)
        }
        Kind::Message(of) => return messages(of, data_type, cells, name),
    })
}

fn messages(of: &MessageDescriptor, data_type: &DataType, cells: &[Cell<'_>], name: &str) -> Result<ArrayRef, Fault> {
    let inner: Vec<Option<&DynamicMessage>> =
        cells.iter().map(|cell| cell.as_deref().and_then(Value::as_message)).collect();
    match (WellKnown::of(of), data_type) {
        (Some(WellKnown::Timestamp), _) => {
            let times = inner.iter().map(|message| message.map(|message| nanoseconds(message, name)).transpose());
            let times = times.collect::<Result<Vec<Option<i64>>, Fault>>()?;
            Ok(Arc::new(TimestampNanosecondArray::from(times).with_timezone("UTC")))
        }
        (Some(WellKnown::Wrapper(kind)), data_type) => {
            let values: Vec<Cell<'_>> = inner.iter().map(|message| (*message)?.get_field_by_name("value")).collect();
            array(&kind, data_type, &values, name)
        }
        (None, DataType::Struct(fields)) => {
            Ok(Arc::new(structure(of, fields, &inner).map_err(|fault| match fault {
                Fault::Record(reason) => Fault::Record(format!("in `{name}`: {reason}")),
                other => other,
            })?))
        }
        (None, other) => Err(Fault::record(format!("field `{name}` is no {other}"))),
    }
}

fn structure(of: &MessageDescriptor, fields: &Fields, inner: &[Option<&DynamicMessage>]) -> Result<StructArray, Fault> {
    let columns = fields.iter().map(|field| member(of, inner, field)).collect::<Result<Vec<_>, Fault>>()?;
    let nulls = NullBuffer::from_iter(inner.iter().map(Option::is_some));
    let nulls = (nulls.null_count() > 0).then_some(nulls);
    let made: Result<StructArray, ArrowError> =
        StructArray::try_new_with_length(fields.clone(), columns, nulls, inner.len());
    made.map_err(Fault::record)
}

fn nanoseconds(time: &DynamicMessage, name: &str) -> Result<i64, Fault> {
    let part = |part: &str| time.get_field_by_name(part);
    let seconds = part("seconds").and_then(|value| value.as_i64()).unwrap_or_default();
    let nanos = part("nanos").and_then(|value| value.as_i32()).unwrap_or_default();
    let whole = seconds.checked_mul(1_000_000_000).and_then(|whole| whole.checked_add(i64::from(nanos)));
    whole.filter(|_| (0..1_000_000_000).contains(&nanos)).ok_or_else(|| {
        Fault::record(format!(
            "field `{name}`: the time of {seconds} s and {nanos} ns is outside of 1677 to 2262, or no time"
        ))
    })
}
