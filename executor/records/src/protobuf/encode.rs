//! Rows to messages: fields in the order of their numbers, maps in that of the rows.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::columns::{Message, WellKnown, is_nullable};
use super::framing::{self, put_varint};
use crate::fault::{SchemaError, ValueError};

/// Encodes rows as messages of one type.
pub struct ProtobufEncoder {
    message: Message,
    /// The columns of the message.
    columns: SchemaRef,
    id: Option<u32>,
    /// Of what rows have: the column of each field of the message.
    places: Vec<usize>,
}

impl ProtobufEncoder {
    /// An encoder of rows with these columns. Records begin with an id, if there is one.
    ///
    /// # Errors
    /// If columns and fields of the message do not fit together.
    pub fn new(message: Message, columns: &SchemaRef, id: Option<u32>, rows: &Schema) -> Result<Self, SchemaError> {
        let places = Self::check(columns, rows)?;
        Ok(Self { message, columns: columns.clone(), id, places })
    }

    /// Says whether columns and fields of a message fit together. Gives which column each field takes.
    ///
    /// # Errors
    /// The first field without a column, column without a field, or pair whose types do not fit.
    pub fn check(columns: &SchemaRef, rows: &Schema) -> Result<Vec<usize>, SchemaError> {
        if let Some(extra) = rows.fields().iter().find(|field| columns.field_with_name(field.name()).is_err()) {
            let reason = "is no field of the message; leave it out, or add it to the message";
            return Err(SchemaError::column(extra.name(), reason));
        }
        let place = |field: &arrow_schema::FieldRef| {
            let missing = || SchemaError::field(field.name(), "has no column; add one in a stage before the sink");
            let place = rows.index_of(field.name()).map_err(|_| missing())?;
            let column = rows.field(place);
            match is_like(column.data_type(), field.data_type()) {
                true => Ok(place),
                false => {
                    let (found, wanted) = (column.data_type(), field.data_type());
                    let reason = format!(
                        "has type {found}, where the message has {wanted}; turn it into that type in a stage before the sink"
                    );
                    Err(SchemaError::column(column.name(), reason))
                }
            }
        };
        columns.fields().iter().map(place).collect()
    }

    /// Gives the record of each row, in order.
    ///
    /// # Errors
    /// The first value that the message has no room for.
    pub fn encode(&mut self, batch: &RecordBatch, take: &mut dyn FnMut(&[u8])) -> Result<(), ValueError> {
        let columns = self.places.iter().zip(self.columns.fields()).map(|(&place, field)| {
            let column = batch.column(place);
            let failed = |reason: String| ValueError { row: 0, column: field.name().clone(), reason };
            arrow_cast::cast(column, field.data_type()).map_err(|error| failed(error.to_string()))
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>, ValueError>>()?;
        let fields: Vec<FieldDescriptor> = self.message.descriptor.fields().collect();
        let mut order: Vec<usize> = (0..columns.len()).collect();
        let of = |name: &str| fields.iter().find(|field| field.name() == name);
        order.sort_by_key(|&at| of(self.columns.field(at).name()).map(FieldDescriptor::number));
        let indexes = framing::indexes(&self.message.descriptor);
        let mut bytes = Vec::new();
        for row in 0..batch.num_rows() {
            bytes.clear();
            if let Some(id) = self.id {
                framing::put(id, &indexes, &mut bytes);
            }
            for &at in &order {
                let name = self.columns.field(at).name();
                let Some(field) = of(name) else { continue };
                let failed = |reason: String| ValueError { row, column: name.clone(), reason };
                put_field(field, &columns[at], row, &mut bytes).map_err(failed)?;
            }
            take(&bytes);
        }
        Ok(())
    }
}

/// Whether values of a type are those of another one, in another layout or with other nulls.
fn is_like(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    let is_text = |data_type: &DataType| matches!(data_type, Utf8 | LargeUtf8 | Utf8View);
    let is_bytes = |data_type: &DataType| matches!(data_type, Binary | LargeBinary | BinaryView);
    match (from, to) {
        (Dictionary(_, value), to) => is_like(value, to),
        (from, Utf8) => is_text(from),
        (from, Binary) => is_bytes(from),
        (Int8 | Int16 | Int32 | UInt8 | UInt16, Int32) | (UInt8 | UInt16 | UInt32, UInt32) => true,
        (Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32, Int64) => true,
        (UInt8 | UInt16 | UInt32 | UInt64, UInt64) => true,
        (Float16 | Float32, Float32) => true,
        (Float16 | Float32 | Float64, Float64) => true,
        // Coarser times are told exactly in nanoseconds; those that are too far away are found by their values.
        (Timestamp(_, Some(_)), Timestamp(..)) => true,
        (List(from) | LargeList(from) | FixedSizeList(from, _), List(to)) => is_like(from.data_type(), to.data_type()),
        (Struct(from), Struct(to)) => {
            from.len() == to.len()
                && from
                    .iter()
                    .zip(to)
                    .all(|(from, to)| from.name() == to.name() && is_like(from.data_type(), to.data_type()))
        }
        (Map(from, _), Map(to, _)) => match (from.data_type(), to.data_type()) {
            (Struct(from), Struct(to)) => {
                from.len() == to.len()
                    && from.iter().zip(to).all(|(from, to)| is_like(from.data_type(), to.data_type()))
            }
            _ => false,
        },
        (from, to) => from == to,
    }
}

const VARINT: u64 = 0;
const BITS_64: u64 = 1;
const LENGTH: u64 = 2;
const BITS_32: u64 = 5;

/// Appends a field of a row, if the message is to have it.
fn put_field(field: &FieldDescriptor, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
    if column.is_null(row) {
        return match is_nullable(field) {
            true => Ok(()),
            false => Err("null, where the message has no null".to_owned()),
        };
    }
    if field.is_map() {
        return put_map(field, column, row, out);
    }
    if let (true, Some(lists)) = (field.is_list(), column.as_list_opt::<i32>()) {
        let items = lists.value(row);
        if items.null_count() > 0 {
            return Err("a null in a list, which messages do not have".to_owned());
        }
        if field.is_packed() && !items.is_empty() {
            let mut packed = Vec::new();
            (0..items.len()).try_for_each(|item| put_value(&field.kind(), &items, item, &mut packed))?;
            put_varint(u64::from(field.number()) << 3 | LENGTH, out);
            put_varint(packed.len() as u64, out);
            out.extend_from_slice(&packed);
            return Ok(());
        }
        return (0..items.len()).try_for_each(|item| put_tagged(field, &field.kind(), &items, item, out));
    }
    let start = out.len();
    put_tagged(field, &field.kind(), column, row, out)?;
    // What is not told apart from the type's zero is not written.
    if !field.supports_presence() && is_zero(&field.kind(), column, row) {
        out.truncate(start);
    }
    Ok(())
}

fn put_map(field: &FieldDescriptor, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let (Kind::Message(entry), Some(maps)) = (field.kind(), column.as_map_opt()) else {
        return Err("it is no map".to_owned());
    };
    let entries = maps.value(row);
    let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
    for at in 0..entries.len() {
        if entries.column(1).is_null(at) {
            return Err("a null in a map, which messages do not have".to_owned());
        }
        let mut pair = Vec::new();
        put_tagged(&key, &key.kind(), entries.column(0), at, &mut pair)?;
        put_tagged(&value, &value.kind(), entries.column(1), at, &mut pair)?;
        put_varint(u64::from(field.number()) << 3 | LENGTH, out);
        put_varint(pair.len() as u64, out);
        out.extend_from_slice(&pair);
    }
    Ok(())
}

fn put_tagged(
    field: &FieldDescriptor,
    kind: &Kind,
    column: &ArrayRef,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let wire = match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => BITS_64,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => BITS_32,
        Kind::String | Kind::Bytes | Kind::Message(_) => LENGTH,
        _ => VARINT,
    };
    put_varint(u64::from(field.number()) << 3 | wire, out);
    put_value(kind, column, row, out)
}

fn put_value(kind: &Kind, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
    let int32 = || column.as_primitive::<Int32Type>().value(row);
    let int64 = || column.as_primitive::<Int64Type>().value(row);
    match kind {
        Kind::Double => out.extend_from_slice(&column.as_primitive::<Float64Type>().value(row).to_le_bytes()),
        Kind::Float => out.extend_from_slice(&column.as_primitive::<Float32Type>().value(row).to_le_bytes()),
        Kind::Int32 => put_varint(i64::from(int32()) as u64, out),
        Kind::Int64 => put_varint(int64() as u64, out),
        Kind::Sint32 => put_varint(u64::from(((int32() << 1) ^ (int32() >> 31)) as u32), out),
        Kind::Sint64 => put_varint(((int64() << 1) ^ (int64() >> 63)) as u64, out),
        Kind::Sfixed32 => out.extend_from_slice(&int32().to_le_bytes()),
        Kind::Sfixed64 => out.extend_from_slice(&int64().to_le_bytes()),
        Kind::Uint32 => put_varint(u64::from(column.as_primitive::<UInt32Type>().value(row)), out),
        Kind::Uint64 => put_varint(column.as_primitive::<UInt64Type>().value(row), out),
        Kind::Fixed32 => out.extend_from_slice(&column.as_primitive::<UInt32Type>().value(row).to_le_bytes()),
        Kind::Fixed64 => out.extend_from_slice(&column.as_primitive::<UInt64Type>().value(row).to_le_bytes()),
        Kind::Bool => out.push(u8::from(column.as_boolean().value(row))),
        Kind::String => put_bytes(column.as_string::<i32>().value(row).as_bytes(), out),
        Kind::Bytes => put_bytes(column.as_binary::<i32>().value(row), out),
        Kind::Enum(of) => put_varint(i64::from(number_of(of, column.as_string::<i32>().value(row))?) as u64, out),
        Kind::Message(of) => {
            let mut inner = Vec::new();
            put_message(of, column, row, &mut inner)?;
            put_bytes(&inner, out);
        }
    }
    Ok(())
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn number_of(of: &EnumDescriptor, name: &str) -> Result<i32, String> {
    let found = of.get_value_by_name(name).map(|value| value.number());
    found.ok_or_else(|| format!("the enum `{}` has no value `{name}`", of.full_name()))
}

fn put_message(of: &MessageDescriptor, column: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
    match WellKnown::of(of) {
        Some(WellKnown::Timestamp) => {
            let time = column.as_primitive::<TimestampNanosecondType>().value(row);
            let (seconds, nanos) = (time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000));
            for (number, part) in [(1u64, seconds), (2, nanos)] {
                if part != 0 {
                    put_varint(number << 3 | VARINT, out);
                    put_varint(part as u64, out);
                }
            }
            Ok(())
        }
        Some(WellKnown::Wrapper(kind)) => match of.get_field_by_name("value") {
            Some(field) if !is_zero(&kind, column, row) => put_tagged(&field, &kind, column, row, out),
            _ => Ok(()),
        },
        None => {
            let parts = column.as_struct();
            let mut fields: Vec<FieldDescriptor> = of.fields().collect();
            fields.sort_by_key(FieldDescriptor::number);
            for field in &fields {
                let Some(part) = parts.column_by_name(field.name()) else { continue };
                put_field(field, part, row, out).map_err(|reason| format!("`{}`: {reason}", field.name()))?;
            }
            Ok(())
        }
    }
}

/// Whether a value is the one that a message has where nothing is written.
fn is_zero(kind: &Kind, column: &ArrayRef, row: usize) -> bool {
    match kind {
        // The zero that has a sign is written.
        Kind::Double => column.as_primitive::<Float64Type>().value(row).to_bits() == 0,
        Kind::Float => column.as_primitive::<Float32Type>().value(row).to_bits() == 0,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => column.as_primitive::<Int32Type>().value(row) == 0,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => column.as_primitive::<Int64Type>().value(row) == 0,
        Kind::Uint32 | Kind::Fixed32 => column.as_primitive::<UInt32Type>().value(row) == 0,
        Kind::Uint64 | Kind::Fixed64 => column.as_primitive::<UInt64Type>().value(row) == 0,
        Kind::Bool => !column.as_boolean().value(row),
        Kind::String => column.as_string::<i32>().value(row).is_empty(),
        Kind::Bytes => column.as_binary::<i32>().value(row).is_empty(),
        Kind::Enum(of) => number_of(of, column.as_string::<i32>().value(row)).is_ok_and(|number| number == 0),
        Kind::Message(_) => false,
    }
}
