//! Messages to schemas.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{ArrowError, DataType, Field, FieldRef, IntervalUnit, Schema, TimeUnit, UnionFields, UnionMode};

use super::flatbuffer::Table;
use super::{CONTINUATION, field, kind, message, root};
use crate::MAX_DEPTH;

/// The schema of an encapsulated IPC message.
///
/// # Errors
/// If the bytes are no such message, if its types are unknown, or if they nest deeper than [`MAX_DEPTH`].
pub fn read_schema(bytes: &[u8]) -> Result<Schema, ArrowError> {
    let table = bytes.strip_prefix(&CONTINUATION[..]).unwrap_or(bytes).get(4..);
    let message = Table::root(table.ok_or_else(|| unknown("message"))?)?;
    let header =
        message.table(message::HEADER)?.filter(|_| message.u8(message::HEADER_TYPE).ok() == Some(message::SCHEMA));
    let schema = header.ok_or_else(|| unknown("message"))?;
    if schema.i16(root::ENDIANNESS, 0)? != 0 {
        return Err(unknown("byte order"));
    }
    let fields = fields(schema.tables(root::FIELDS)?, MAX_DEPTH)?;
    Ok(Schema::new_with_metadata(fields, metadata(&schema, root::METADATA)?))
}

fn fields(tables: Vec<Table<'_>>, depth: usize) -> Result<Vec<FieldRef>, ArrowError> {
    tables.into_iter().map(|table| read_field(&table, depth).map(Arc::new)).collect()
}

fn read_field(table: &Table<'_>, depth: usize) -> Result<Field, ArrowError> {
    let depth = depth.checked_sub(1).ok_or_else(|| unknown("depth of nested types"))?;
    let name = table.text(field::NAME)?.unwrap_or_default();
    let nullable = table.bool(field::NULLABLE)?;
    let values = data_type(table, depth)?;
    let field = match table.table(field::DICTIONARY)? {
        Some(dictionary) => {
            let indices = dictionary.table(1)?.map_or(Ok(DataType::Int32), |indices| integer(&indices))?;
            let data_type = DataType::Dictionary(Box::new(indices), Box::new(values));
            #[allow(deprecated, reason = "the only way to say that a dictionary is ordered")]
            Field::new_dict(name, data_type, nullable, dictionary.i64(0)?, dictionary.bool(2)?)
        }
        None => Field::new(name, values, nullable),
    };
    Ok(field.with_metadata(metadata(table, field::METADATA)?))
}

fn metadata(table: &Table<'_>, slot: usize) -> Result<HashMap<String, String>, ArrowError> {
    let mut pairs = HashMap::new();
    for pair in table.tables(slot)? {
        if let (Some(key), Some(value)) = (pair.text(0)?, pair.text(1)?) {
            pairs.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(pairs)
}

/// The type of a field, or of the values of its dictionary.
fn data_type(table: &Table<'_>, depth: usize) -> Result<DataType, ArrowError> {
    let kind = table.u8(field::TYPE_KIND)?;
    let type_table = table.table(field::TYPE)?.ok_or_else(|| unknown("type"))?;
    let children = fields(table.tables(field::CHILDREN)?, depth)?;
    match scalar_type(kind, &type_table)? {
        Some(scalar) => Ok(scalar),
        None => nested_type(kind, &type_table, children),
    }
}

fn scalar_type(kind: u8, table: &Table<'_>) -> Result<Option<DataType>, ArrowError> {
    Ok(Some(match kind {
        kind::NULL => DataType::Null,
        kind::INT => integer(table)?,
        kind::FLOATING_POINT => match table.i16(0, 0)? {
            0 => DataType::Float16,
            1 => DataType::Float32,
            2 => DataType::Float64,
            _ => return Err(unknown("precision of floats")),
        },
        kind::BINARY => DataType::Binary,
        kind::UTF8 => DataType::Utf8,
        kind::BOOL => DataType::Boolean,
        kind::DECIMAL => decimal(table)?,
        kind::DATE => match table.i16(0, 1)? {
            0 => DataType::Date32,
            1 => DataType::Date64,
            _ => return Err(unknown("unit of dates")),
        },
        kind::TIME => match (table.i32(1, 32)?, time_unit(table, 1)?) {
            (32, unit @ (TimeUnit::Second | TimeUnit::Millisecond)) => DataType::Time32(unit),
            (64, unit @ (TimeUnit::Microsecond | TimeUnit::Nanosecond)) => DataType::Time64(unit),
            _ => return Err(unknown("unit of times")),
        },
        kind::TIMESTAMP => DataType::Timestamp(time_unit(table, 0)?, table.text(1)?.map(Into::into)),
        kind::INTERVAL => DataType::Interval(match table.i16(0, 0)? {
            0 => IntervalUnit::YearMonth,
            1 => IntervalUnit::DayTime,
            2 => IntervalUnit::MonthDayNano,
            _ => return Err(unknown("unit of intervals")),
        }),
        kind::FIXED_SIZE_BINARY => DataType::FixedSizeBinary(table.i32(0, 0)?),
        kind::DURATION => DataType::Duration(time_unit(table, 1)?),
        kind::LARGE_BINARY => DataType::LargeBinary,
        kind::LARGE_UTF8 => DataType::LargeUtf8,
        kind::BINARY_VIEW => DataType::BinaryView,
        kind::UTF8_VIEW => DataType::Utf8View,
        _ => return Ok(None),
    }))
}

fn nested_type(kind: u8, table: &Table<'_>, children: Vec<FieldRef>) -> Result<DataType, ArrowError> {
    let pair = |children: Vec<FieldRef>| <[FieldRef; 2]>::try_from(children).map_err(|_| unknown("number of children"));
    let only = |children: Vec<FieldRef>| match <[FieldRef; 1]>::try_from(children) {
        Ok([child]) => Ok(child),
        Err(_) => Err(unknown("number of children")),
    };
    Ok(match kind {
        kind::LIST => DataType::List(only(children)?),
        kind::LARGE_LIST => DataType::LargeList(only(children)?),
        kind::LIST_VIEW => DataType::ListView(only(children)?),
        kind::LARGE_LIST_VIEW => DataType::LargeListView(only(children)?),
        kind::FIXED_SIZE_LIST => DataType::FixedSizeList(only(children)?, table.i32(0, 0)?),
        kind::MAP => DataType::Map(only(children)?, table.bool(0)?),
        kind::STRUCT => DataType::Struct(children.into()),
        kind::UNION => union(table, children)?,
        kind::RUN_END_ENCODED => {
            let [ends, values] = pair(children)?;
            DataType::RunEndEncoded(ends, values)
        }
        _ => return Err(unknown("type")),
    })
}

fn integer(table: &Table<'_>) -> Result<DataType, ArrowError> {
    Ok(match (table.i32(0, 0)?, table.bool(1)?) {
        (8, true) => DataType::Int8,
        (16, true) => DataType::Int16,
        (32, true) => DataType::Int32,
        (64, true) => DataType::Int64,
        (8, false) => DataType::UInt8,
        (16, false) => DataType::UInt16,
        (32, false) => DataType::UInt32,
        (64, false) => DataType::UInt64,
        _ => return Err(unknown("width of integers")),
    })
}

fn decimal(table: &Table<'_>) -> Result<DataType, ArrowError> {
    let precision = u8::try_from(table.i32(0, 0)?).map_err(|_| unknown("precision of decimals"))?;
    let scale = i8::try_from(table.i32(1, 0)?).map_err(|_| unknown("scale of decimals"))?;
    Ok(match table.i32(2, 128)? {
        32 => DataType::Decimal32(precision, scale),
        64 => DataType::Decimal64(precision, scale),
        128 => DataType::Decimal128(precision, scale),
        256 => DataType::Decimal256(precision, scale),
        _ => return Err(unknown("width of decimals")),
    })
}

fn union(table: &Table<'_>, children: Vec<FieldRef>) -> Result<DataType, ArrowError> {
    let mode = match table.i16(0, 0)? {
        0 => UnionMode::Sparse,
        1 => UnionMode::Dense,
        _ => return Err(unknown("mode of unions")),
    };
    let ids = table.numbers(1)?.unwrap_or_else(|| (0..children.len() as i32).collect());
    let ids: Result<Vec<i8>, _> = ids.into_iter().map(i8::try_from).collect();
    Ok(DataType::Union(UnionFields::try_new(ids.map_err(|_| unknown("type id of unions"))?, children)?, mode))
}

fn time_unit(table: &Table<'_>, otherwise: i16) -> Result<TimeUnit, ArrowError> {
    Ok(match table.i16(0, otherwise)? {
        0 => TimeUnit::Second,
        1 => TimeUnit::Millisecond,
        2 => TimeUnit::Microsecond,
        3 => TimeUnit::Nanosecond,
        _ => return Err(unknown("unit of time")),
    })
}

fn unknown(what: &str) -> ArrowError {
    ArrowError::ParseError(format!("the schema's {what} is unknown"))
}
