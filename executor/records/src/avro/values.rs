//! Values of columns as `arrow-avro` has them, and back. Nothing is rounded or cut.

use std::sync::Arc;

use arrow_array::builder::{FixedSizeBinaryBuilder, Int32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, ListArray, MapArray, StringArray, StructArray};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, TimeUnit};

use super::columns::is_uuid;

/// What of `arrow-avro`'s is a column: an array of a native field as one of the type of the column.
pub(super) fn to_column(array: &ArrayRef, native: &Field, target: &DataType) -> Result<ArrayRef, ArrowError> {
    match (native.data_type(), target) {
        (DataType::Dictionary(..), target) => arrow_cast::cast(array, target),
        (DataType::FixedSizeBinary(16), DataType::Utf8) if is_uuid(native) => Ok(Arc::new(texts(array))),
        (DataType::List(of), DataType::List(item)) => {
            let list: &ListArray = array.as_list();
            let items = to_column(list.values(), of, item.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(item.clone(), offsets, items, nulls)?))
        }
        (DataType::Struct(of), DataType::Struct(fields)) => {
            let parts = array.as_struct();
            let columns = parts.columns().iter().zip(of).zip(fields);
            let columns = columns.map(|((column, of), field)| to_column(column, of, field.data_type()));
            let (columns, nulls) = (columns.collect::<Result<Vec<_>, _>>()?, parts.nulls().cloned());
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, parts.len())?))
        }
        (DataType::Map(of, _), DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let inner: ArrayRef = Arc::new(map.entries().clone());
            let inner = to_column(&inner, of, entries.data_type())?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let inner = inner.as_struct().clone();
            Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, inner, nulls, *sorted)?))
        }
        (from, to) if from == to => Ok(array.clone()),
        (_, to) => arrow_cast::cast(array, to),
    }
}

fn texts(uuids: &ArrayRef) -> StringArray {
    let uuids = uuids.as_fixed_size_binary();
    uuids.iter().map(|uuid| uuid.map(uuid_text)).collect()
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn uuid_of(text: &str) -> Option<[u8; 16]> {
    let is_uuid = text.len() == 36 && [8, 13, 18, 23].iter().all(|&at| text.as_bytes()[at] == b'-');
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if !is_uuid || digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Why values can't be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit {
    /// The first row of the array with such a value.
    pub(super) row: usize,
    pub(super) reason: String,
}

impl Unfit {
    fn new(row: usize, reason: impl Into<String>) -> Self {
        Self { row, reason: reason.into() }
    }
}

/// Whether values of a type can be written as those of a native field, by their types alone.
pub(super) fn fits(from: &DataType, native: &Field) -> bool {
    use DataType::*;
    let is_text = |data_type: &DataType| matches!(data_type, Utf8 | LargeUtf8 | Utf8View);
    let is_bytes = |data_type: &DataType| matches!(data_type, Binary | LargeBinary | BinaryView | FixedSizeBinary(_));
    match (from, native.data_type()) {
        (Dictionary(_, value), to) if !matches!(to, Dictionary(..)) => fits(value, native),
        (Dictionary(_, value), Dictionary(..)) => is_text(value),
        (from, Dictionary(..) | Utf8) => is_text(from),
        (from, FixedSizeBinary(16)) if is_uuid(native) => is_text(from),
        (from, Binary) => is_bytes(from),
        (FixedSizeBinary(from), FixedSizeBinary(to)) => from == to,
        (Binary | LargeBinary | BinaryView, FixedSizeBinary(_)) => true,
        (from, Int32 | Int64) => from.is_integer(),
        (from, Float32) => matches!(from, Float16 | Float32),
        (from, Float64) => from.is_floating(),
        (Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..), Decimal128(..) | Decimal256(..)) => true,
        (from, Decimal128(..) | Decimal256(..)) => from.is_integer(),
        (Date32 | Date64, Date32) => true,
        (Time32(_) | Time64(_), Time32(_) | Time64(_)) => true,
        (Timestamp(_, from), Timestamp(_, to)) => from.is_some() == to.is_some(),
        (List(item) | LargeList(item) | FixedSizeList(item, _), List(of)) => fits(item.data_type(), of),
        (Struct(fields), Struct(of)) => {
            fields.len() == of.len()
                && of
                    .iter()
                    .all(|of| fields.iter().any(|field| field.name() == of.name() && fits(field.data_type(), of)))
        }
        (Map(entries, _), Map(of, _)) => match (entries.data_type(), of.data_type()) {
            (Struct(pair), Struct(of)) if pair.len() == 2 && of.len() == 2 => {
                is_text(pair[0].data_type()) && fits(pair[1].data_type(), &of[1])
            }
            _ => false,
        },
        (from, to) => from == to,
    }
}

/// Values of a column as those of a native field. The types fit.
pub(super) fn to_native(array: &ArrayRef, native: &Field) -> Result<ArrayRef, Unfit> {
    let converted = converted(array, native)?;
    let missing = (!native.is_nullable()).then(|| (0..converted.len()).find(|&row| converted.is_null(row))).flatten();
    match missing {
        Some(row) if *native.data_type() != DataType::Null => {
            Err(Unfit::new(row, "null, where the schema has no null"))
        }
        _ => Ok(converted),
    }
}

fn converted(array: &ArrayRef, native: &Field) -> Result<ArrayRef, Unfit> {
    let refused = |error: ArrowError| Unfit::new(0, error.to_string());
    match (array.data_type(), native.data_type()) {
        (DataType::Dictionary(_, value), to) if !matches!(to, DataType::Dictionary(..)) => {
            converted(&arrow_cast::cast(array, value).map_err(refused)?, native)
        }
        (_, DataType::Dictionary(..)) => symbols(array, native),
        (_, DataType::FixedSizeBinary(16)) if is_uuid(native) => uuids(array),
        (from @ (DataType::LargeList(_) | DataType::FixedSizeList(..)), DataType::List(_)) => {
            let (DataType::LargeList(item) | DataType::FixedSizeList(item, _)) = from else { return Ok(array.clone()) };
            converted(&arrow_cast::cast(array, &DataType::List(item.clone())).map_err(refused)?, native)
        }
        (DataType::List(_), DataType::List(of)) => {
            let list: &ListArray = array.as_list();
            let offsets = list.offsets().clone();
            let row_of = |item: usize| offsets.partition_point(|offset| *offset as usize <= item).saturating_sub(1);
            let items = to_native(list.values(), of).map_err(|unfit| Unfit { row: row_of(unfit.row), ..unfit })?;
            let list = ListArray::try_new(of.clone(), list.offsets().clone(), items, list.nulls().cloned());
            Ok(Arc::new(list.map_err(refused)?))
        }
        (DataType::Struct(fields), DataType::Struct(of)) => {
            let parts = array.as_struct();
            let mut columns = Vec::with_capacity(of.len());
            for of in of {
                let place = fields.iter().position(|field| field.name() == of.name());
                let column = parts.column(place.ok_or_else(|| Unfit::new(0, format!("`{}` is missing", of.name())))?);
                // What lies under a null of the record is no value.
                let of = Field::clone(of).with_nullable(of.is_nullable() || parts.nulls().is_some());
                let within = |unfit: Unfit| Unfit { reason: format!("`{}`: {}", of.name(), unfit.reason), ..unfit };
                columns.push(to_native(column, &of).map_err(within)?);
            }
            let (nulls, rows) = (parts.nulls().cloned(), parts.len());
            Ok(Arc::new(StructArray::try_new_with_length(of.clone(), columns, nulls, rows).map_err(refused)?))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let DataType::Struct(of) = entries.data_type() else { return Ok(array.clone()) };
            let columns = [(map.keys(), &of[0]), (map.values(), &of[1])];
            let columns = columns.map(|(column, of)| to_native(column, of));
            let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
            let inner = StructArray::try_new(of.clone(), columns, None).map_err(refused)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, inner, nulls, *sorted).map_err(refused)?))
        }
        (from, to) if from == to => Ok(array.clone()),
        (_, to) => exactly(array, to),
    }
}

/// Values in another type; the first one that would change is told.
fn exactly(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, Unfit> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let there_and_back = |array: &ArrayRef| {
        let there = cast_with_options(array, to, &options).ok()?;
        let back = cast_with_options(&there, array.data_type(), &options).ok()?;
        let same = match (back.data_type(), array.data_type()) {
            // A zone of another name is the same instant.
            (DataType::Timestamp(..), DataType::Timestamp(..)) => instants(&back)? == instants(array)?,
            (from, _) if from.is_floating() => floats_are_equal(&back, array)?,
            _ => *back == **array,
        };
        same.then_some(there)
    };
    there_and_back(array).ok_or_else(|| {
        let changes = |row: &usize| there_and_back(&array.slice(*row, 1)).is_none();
        let row = (0..array.len()).find(changes).unwrap_or(0);
        let shown = arrow_cast::display::array_value_to_string(array, row).unwrap_or_default();
        Unfit::new(row, format!("{shown} does not fit {to}, and nothing is rounded or cut"))
    })
}

fn instants(times: &ArrayRef) -> Option<ArrayRef> {
    let DataType::Timestamp(unit, _) = times.data_type() else { return None };
    let unit: TimeUnit = *unit;
    arrow_cast::cast(times, &DataType::Timestamp(unit, None)).ok()
}

/// Whether floats of one type have equal bits, or are both no number: a conversion may change the bits of a NaN.
fn floats_are_equal(one: &ArrayRef, other: &ArrayRef) -> Option<bool> {
    let wide = |floats: &ArrayRef| arrow_cast::cast(floats, &DataType::Float64).ok();
    let (one, other) = (wide(one)?, wide(other)?);
    let bits = |float: f64| if float.is_nan() { f64::NAN.to_bits() } else { float.to_bits() };
    let bits = |floats: &ArrayRef| floats.as_primitive::<Float64Type>().unary::<_, UInt64Type>(bits);
    Some(bits(&one) == bits(&other))
}

/// Texts as symbols of an enum.
fn symbols(array: &ArrayRef, native: &Field) -> Result<ArrayRef, Unfit> {
    let refused = |error: ArrowError| Unfit::new(0, error.to_string());
    let all = native.metadata().get(arrow_avro::schema::AVRO_ENUM_SYMBOLS_METADATA_KEY);
    let all: Vec<String> = all.and_then(|all| serde_json::from_str(all).ok()).unwrap_or_default();
    let texts = arrow_cast::cast(array, &DataType::Utf8).map_err(refused)?;
    let texts: &StringArray = texts.as_string();
    let mut keys = Int32Builder::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        let Some(text) = text else {
            keys.append_null();
            continue;
        };
        match all.iter().position(|symbol| symbol == text) {
            Some(at) => keys.append_value(at as i32),
            None => {
                return Err(Unfit::new(row, format!("`{text}` is no symbol of the enum; it has {}", all.join(", "))));
            }
        }
    }
    let symbols = StringArray::from_iter_values(&all);
    Ok(Arc::new(DictionaryArray::try_new(keys.finish(), Arc::new(symbols)).map_err(refused)?))
}

/// Texts as UUIDs.
fn uuids(array: &ArrayRef) -> Result<ArrayRef, Unfit> {
    let refused = |error: ArrowError| Unfit::new(0, error.to_string());
    let texts = arrow_cast::cast(array, &DataType::Utf8).map_err(refused)?;
    let texts: &StringArray = texts.as_string();
    let mut all = FixedSizeBinaryBuilder::with_capacity(texts.len(), 16);
    for (row, text) in texts.iter().enumerate() {
        match text {
            None => all.append_null(),
            Some(text) => {
                let uuid = uuid_of(text).ok_or_else(|| Unfit::new(row, format!("`{text}` is no UUID")))?;
                all.append_value(uuid).map_err(refused)?;
            }
        }
    }
    Ok(Arc::new(all.finish()))
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Float16Type;
    use arrow_array::{Float16Array, Float32Array, Float64Array};
    use arrow_buffer::Buffer;

    use super::*;

    fn written(floats: ArrayRef, data_type: DataType) -> Result<ArrayRef, usize> {
        to_native(&floats, &Field::new("x", data_type, true)).map_err(|unfit| unfit.row)
    }

    #[test]
    fn every_half_is_written_in_wider_floats() {
        let halves = Buffer::from_vec((0..=u16::MAX).collect::<Vec<u16>>());
        let halves = Float16Array::new(halves.into(), None);
        for wide in [DataType::Float32, DataType::Float64] {
            let there = written(Arc::new(halves.clone()), wide).unwrap();
            let back = arrow_cast::cast(&there, &DataType::Float16).unwrap();
            let back = back.as_primitive::<Float16Type>();
            for (half, back) in halves.values().iter().zip(back.values()) {
                assert!(half.to_bits() == back.to_bits() || half.is_nan() && back.is_nan(), "{half:?} {back:?}");
            }
        }
    }

    #[test]
    fn what_is_no_number_fits_narrower_floats_whatever_its_bits() {
        let quiet = f64::from_bits(f64::NAN.to_bits() | 1);
        let floats = [Some(0.5), None, Some(-0.0), Some(f64::NEG_INFINITY), Some(quiet), Some(-quiet)];
        let narrow = written(Arc::new(Float64Array::from(floats.to_vec())), DataType::Float32).unwrap();
        let narrow: &Float32Array = narrow.as_primitive();
        assert_eq!(
            narrow.iter().map(|float| float.is_some_and(f32::is_nan)).collect::<Vec<_>>(),
            [false, false, false, false, true, true]
        );
        let rounded = Float64Array::from(vec![Some(quiet), Some(0.1)]);
        assert_eq!(written(Arc::new(rounded), DataType::Float32).unwrap_err(), 1);
    }
}
