//! Schemas to messages.

use std::collections::HashMap;

use arrow_schema::{DataType, Field, IntervalUnit, Schema, TimeUnit, UnionMode};

use super::flatbuffer::{Part, Slot, buffer};
use super::{ALIGNMENT, CONTINUATION, kind, message};

/// The schema as an encapsulated IPC message.
pub fn write_schema(schema: &Schema) -> Vec<u8> {
    let mut dictionaries = 0;
    let fields = schema.fields().iter().map(|field| field_part(field, &mut dictionaries)).collect();
    let schema = Part::Table(vec![Slot::Absent, Part::Tables(fields).into(), metadata(schema.metadata())]);
    let body_length = Slot::I64(0);
    let root = Part::Table(vec![Slot::I16(message::V5), Slot::U8(message::SCHEMA), schema.into(), body_length]);
    let mut table = buffer(&root);
    table.resize(table.len().next_multiple_of(ALIGNMENT), 0);
    let length = (table.len() as u32).to_le_bytes();
    [&CONTINUATION[..], &length, &table].concat()
}

/// A field. Dictionaries are numbered in the order of their fields.
fn field_part(field: &Field, dictionaries: &mut i64) -> Part {
    let stored = match field.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let (kind, slots) = type_slots(stored);
    let children = children(stored).into_iter().map(|child| field_part(child, dictionaries)).collect();
    let dictionary = match field.data_type() {
        DataType::Dictionary(indices, _) => {
            let id = Slot::I64(*dictionaries);
            *dictionaries += 1;
            let indices = Part::Table(type_slots(indices).1);
            let is_ordered = Slot::Bool(field.dict_is_ordered().unwrap_or(false));
            Part::Table(vec![id, indices.into(), is_ordered]).into()
        }
        _ => Slot::Absent,
    };
    Part::Table(vec![
        Part::Text(field.name().clone()).into(),
        Slot::Bool(field.is_nullable()),
        Slot::U8(kind),
        Part::Table(slots).into(),
        dictionary,
        Part::Tables(children).into(),
        metadata(field.metadata()),
    ])
}

/// Pairs of texts, by their keys.
fn metadata(pairs: &HashMap<String, String>) -> Slot {
    if pairs.is_empty() {
        return Slot::Absent;
    }
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort();
    let pair = |(key, value): (&String, &String)| {
        Part::Table(vec![Part::Text(key.clone()).into(), Part::Text(value.clone()).into()])
    };
    Part::Tables(pairs.into_iter().map(pair).collect()).into()
}

/// Which member of the union `Type` a type is, and the slots of that member's table.
fn type_slots(data_type: &DataType) -> (u8, Vec<Slot>) {
    let integer = |bits, is_signed| (kind::INT, vec![Slot::I32(bits), Slot::Bool(is_signed)]);
    let float = |precision| (kind::FLOATING_POINT, vec![Slot::I16(precision)]);
    let time = |unit: &TimeUnit, bits| (kind::TIME, vec![Slot::I16(time_unit(*unit)), Slot::I32(bits)]);
    let decimal = |precision: u8, scale: i8, bits| {
        (kind::DECIMAL, vec![Slot::I32(precision.into()), Slot::I32(scale.into()), Slot::I32(bits)])
    };
    match data_type {
        DataType::Null => (kind::NULL, vec![]),
        DataType::Boolean => (kind::BOOL, vec![]),
        DataType::Int8 => integer(8, true),
        DataType::Int16 => integer(16, true),
        DataType::Int32 => integer(32, true),
        DataType::Int64 => integer(64, true),
        DataType::UInt8 => integer(8, false),
        DataType::UInt16 => integer(16, false),
        DataType::UInt32 => integer(32, false),
        DataType::UInt64 => integer(64, false),
        DataType::Float16 => float(0),
        DataType::Float32 => float(1),
        DataType::Float64 => float(2),
        DataType::Timestamp(unit, zone) => {
            let zone = zone.as_ref().filter(|zone| !zone.is_empty());
            let zone = zone.map_or(Slot::Absent, |zone| Part::Text(zone.as_ref().to_owned()).into());
            (kind::TIMESTAMP, vec![Slot::I16(time_unit(*unit)), zone])
        }
        DataType::Date32 => (kind::DATE, vec![Slot::I16(0)]),
        DataType::Date64 => (kind::DATE, vec![Slot::I16(1)]),
        DataType::Time32(unit) => time(unit, 32),
        DataType::Time64(unit) => time(unit, 64),
        DataType::Duration(unit) => (kind::DURATION, vec![Slot::I16(time_unit(*unit))]),
        DataType::Interval(unit) => {
            let unit = match unit {
                IntervalUnit::YearMonth => 0,
                IntervalUnit::DayTime => 1,
                IntervalUnit::MonthDayNano => 2,
            };
            (kind::INTERVAL, vec![Slot::I16(unit)])
        }
        DataType::Binary => (kind::BINARY, vec![]),
        DataType::LargeBinary => (kind::LARGE_BINARY, vec![]),
        DataType::BinaryView => (kind::BINARY_VIEW, vec![]),
        DataType::FixedSizeBinary(width) => (kind::FIXED_SIZE_BINARY, vec![Slot::I32(*width)]),
        DataType::Utf8 => (kind::UTF8, vec![]),
        DataType::LargeUtf8 => (kind::LARGE_UTF8, vec![]),
        DataType::Utf8View => (kind::UTF8_VIEW, vec![]),
        DataType::List(_) => (kind::LIST, vec![]),
        DataType::LargeList(_) => (kind::LARGE_LIST, vec![]),
        DataType::ListView(_) => (kind::LIST_VIEW, vec![]),
        DataType::LargeListView(_) => (kind::LARGE_LIST_VIEW, vec![]),
        DataType::FixedSizeList(_, length) => (kind::FIXED_SIZE_LIST, vec![Slot::I32(*length)]),
        DataType::Struct(_) => (kind::STRUCT, vec![]),
        DataType::Union(fields, mode) => {
            let ids = fields.iter().map(|(id, _)| id.into()).collect();
            (kind::UNION, vec![Slot::I16(i16::from(*mode == UnionMode::Dense)), Part::Numbers(ids).into()])
        }
        // The values of a dictionary that holds another one: the format has no word for it, and so takes the inner values.
        DataType::Dictionary(_, values) => type_slots(values),
        DataType::Decimal32(precision, scale) => decimal(*precision, *scale, 32),
        DataType::Decimal64(precision, scale) => decimal(*precision, *scale, 64),
        DataType::Decimal128(precision, scale) => decimal(*precision, *scale, 128),
        DataType::Decimal256(precision, scale) => decimal(*precision, *scale, 256),
        DataType::Map(_, is_sorted) => (kind::MAP, vec![Slot::Bool(*is_sorted)]),
        DataType::RunEndEncoded(_, _) => (kind::RUN_END_ENCODED, vec![]),
    }
}

fn time_unit(unit: TimeUnit) -> i16 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

/// The fields that a type is made of.
fn children(data_type: &DataType) -> Vec<&Field> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => vec![item],
        DataType::ListView(item) | DataType::LargeListView(item) | DataType::Map(item, _) => vec![item],
        DataType::Struct(fields) => fields.iter().map(AsRef::as_ref).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.as_ref()).collect(),
        DataType::RunEndEncoded(ends, values) => vec![ends, values],
        DataType::Dictionary(_, values) => children(values),
        _ => Vec::new(),
    }
}
