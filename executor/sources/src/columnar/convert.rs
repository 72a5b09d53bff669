//! A file's column as the source's column: of another type, with the same values.
//!
//! Writers choose between types that hold the same values: `Utf8` and `LargeUtf8`, a dictionary and its values, units of
//! time. A type converts to another if every value of the one is a value of the other, or if it can be told of each value
//! whether it is. Nothing is rounded, cut or parsed.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray, new_empty_array,
    new_null_array,
};
use arrow_buffer::OffsetBuffer;
use arrow_cast::cast_with_options;
use arrow_schema::{ArrowError, DataType, FieldRef, Fields};

use crate::values::strict::STRICT;

/// Whether values of one type may be values of another. What [`convert`] makes of no rows at all.
pub(crate) fn converts(from: &DataType, to: &DataType) -> bool {
    convert(&new_empty_array(from), to).is_ok()
}

/// The same values in another type.
///
/// # Errors
/// If the type holds other values, or if it does not hold one of these.
pub(crate) fn convert(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    use DataType::{
        Dictionary, FixedSizeList, LargeList, LargeListView, List, ListView, Map, Null, RunEndEncoded, Struct,
    };
    match (column.data_type(), to) {
        (from, _) if from == to => Ok(column.clone()),
        (Null, _) => Ok(new_null_array(to, column.len())),
        (Dictionary(_, value), _) => convert(&cast(column, value)?, to),
        (RunEndEncoded(_, value), _) => convert(&cast(column, value.data_type())?, to),
        (_, Dictionary(_, value)) => cast(&convert(column, value)?, to),
        (_, List(item)) => convert_list::<i32>(column, item),
        (_, LargeList(item)) => convert_list::<i64>(column, item),
        (_, ListView(item)) => cast(&convert_list::<i32>(column, item)?, to),
        (_, LargeListView(item)) => cast(&convert_list::<i64>(column, item)?, to),
        (_, FixedSizeList(item, size)) => convert_fixed_list(column, item, *size),
        (Struct(_), Struct(fields)) => convert_struct(column.as_struct(), fields),
        (Map(_, is_sorted), Map(entries, sorted)) if is_sorted >= sorted => {
            convert_map(column.as_map(), entries, *sorted)
        }
        (from, _) if is_wider(from, to) => cast(column, to),
        (from, _) if may_be_exact(from, to) => convert_exactly(column, to),
        (from, _) => Err(differ(from, to)),
    }
}

fn differ(from: &DataType, to: &DataType) -> ArrowError {
    ArrowError::CastError(format!("{from} is not {to}"))
}

fn cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(column, to, &STRICT)
}

/// Casts values that must be the same when they are cast back.
fn convert_exactly(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let converted = cast(column, to)?;
    match *cast(&converted, column.data_type())? == **column {
        true => Ok(converted),
        false => Err(differ(column.data_type(), to)),
    }
}

/// The type of a list's items, whatever the kind of list.
fn item_of(data_type: &DataType) -> Option<&FieldRef> {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView};
    match data_type {
        List(item) | LargeList(item) | ListView(item) | LargeListView(item) | FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

fn convert_list<O: OffsetSizeTrait>(column: &ArrayRef, item: &FieldRef) -> Result<ArrayRef, ArrowError> {
    let kind = GenericListArray::<O>::DATA_TYPE_CONSTRUCTOR;
    let own = item_of(column.data_type()).ok_or_else(|| differ(column.data_type(), &kind(item.clone())))?;
    let column = cast(column, &kind(own.clone()))?;
    let list = column.as_list::<O>();
    let values = convert(&used(list.values(), list.value_offsets()), item.data_type())?;
    let offsets = OffsetBuffer::<O>::from_lengths(list.offsets().lengths());
    Ok(Arc::new(GenericListArray::try_new(item.clone(), offsets, values, list.nulls().cloned())?))
}

/// The values that offsets lead to.
fn used<O: OffsetSizeTrait>(values: &ArrayRef, offsets: &[O]) -> ArrayRef {
    let first = offsets.first().map_or(0, |first| first.as_usize());
    let last = offsets.last().map_or(0, |last| last.as_usize());
    values.slice(first, last - first)
}

fn convert_fixed_list(column: &ArrayRef, item: &FieldRef, size: i32) -> Result<ArrayRef, ArrowError> {
    let to = DataType::FixedSizeList(item.clone(), size);
    let own = item_of(column.data_type()).ok_or_else(|| differ(column.data_type(), &to))?;
    let column = match column.data_type() {
        DataType::FixedSizeList(..) => column.clone(),
        // Arrow does not look where the values of a slice begin.
        _ => convert_list::<i64>(column, own)?,
    };
    let column = cast(&column, &DataType::FixedSizeList(own.clone(), size))?;
    let list = column.as_fixed_size_list();
    let values = convert(list.values(), item.data_type())?;
    let nulls = list.nulls().cloned();
    Ok(Arc::new(FixedSizeListArray::try_new_with_length(item.clone(), size, values, nulls, list.len())?))
}

/// Fields are found by name, and none is lost.
fn convert_struct(parts: &StructArray, fields: &Fields) -> Result<ArrayRef, ArrowError> {
    let refused = || differ(parts.data_type(), &DataType::Struct(fields.clone()));
    if parts.num_columns() != fields.len() {
        return Err(refused());
    }
    let column = |field: &FieldRef| convert(parts.column_by_name(field.name()).ok_or_else(refused)?, field.data_type());
    let columns = fields.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let nulls = parts.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, nulls, parts.len())?))
}

/// Keys and values are found by their place: writers name them as they like.
fn convert_map(map: &MapArray, entries: &FieldRef, sorted: bool) -> Result<ArrayRef, ArrowError> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(differ(map.data_type(), entries.data_type()));
    };
    let parts = [map.keys(), map.values()].into_iter().zip(fields);
    let convert_part =
        |(part, field): (&ArrayRef, &FieldRef)| convert(&used(part, map.value_offsets()), field.data_type());
    let columns = parts.map(convert_part).collect::<Result<Vec<_>, _>>()?;
    let pairs = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::<i32>::from_lengths(map.offsets().lengths());
    Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, map.nulls().cloned(), sorted)?))
}

/// Whether each value of a type is one of another type. A long text that does not fit shorter offsets, bytes that are no
/// text or of another length than is due are errors of the cast.
fn is_wider(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, FixedSizeBinary, Float16, Float32, Float64, LargeBinary, LargeUtf8, Utf8, Utf8View,
    };
    match (from, to) {
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
        | (FixedSizeBinary(_), Binary | LargeBinary | BinaryView)
        | (Binary | LargeBinary, FixedSizeBinary(_))
        | (Binary | LargeBinary | BinaryView, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
        | (Float16, Float32 | Float64)
        | (Float32, Float64) => true,
        _ => is_wider_number(from, to),
    }
}

fn is_wider_number(from: &DataType, to: &DataType) -> bool {
    if let (Some((digits, scale)), Some((more_digits, more_scale))) = (decimal(from), decimal(to)) {
        return more_scale >= scale && more_digits - more_scale >= digits - scale;
    }
    let Some((signed, bits)) = integer(from) else { return false };
    match (integer(to), decimal(to), to) {
        (Some((to_signed, to_bits)), ..) => to_bits > bits && (to_signed || !signed),
        (_, Some((digits, scale)), _) => scale >= 0 && digits - scale >= integer_digits(bits, signed),
        (.., DataType::Float32) => bits <= 16,
        (.., DataType::Float64) => bits <= 32,
        _ => false,
    }
}

/// Whether it can be told of each value of a type whether it is one of another type.
fn may_be_exact(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Date32, Date64, Duration, Float32, Float64, Int32, Int64, Time32, Time64, Timestamp, UInt32, UInt64,
    };
    match (from, to) {
        // A time with a zone is an instant, and one without is not.
        (Timestamp(_, from), Timestamp(_, to)) => from.is_some() == to.is_some(),
        (Time32(_) | Time64(_), Time32(_) | Time64(_))
        | (Duration(_), Duration(_))
        | (Date32, Date64)
        | (Date64, Date32)
        | (Int32 | UInt32, Float32)
        | (Int64 | UInt64, Float32 | Float64) => true,
        _ => false,
    }
}

/// Whether an integer has a sign, and its bits.
fn integer(data_type: &DataType) -> Option<(bool, u32)> {
    let bits = data_type.primitive_width().filter(|_| data_type.is_integer())? as u32 * 8;
    Some((data_type.is_signed_integer(), bits))
}

/// How many digits an integer may have.
fn integer_digits(bits: u32, signed: bool) -> i16 {
    let most = if signed { (1_u64 << (bits - 1)) - 1 } else { u64::MAX >> (u64::BITS - bits) };
    most.ilog10() as i16 + 1
}

/// The digits of a decimal, and those behind its point.
fn decimal(data_type: &DataType) -> Option<(i16, i16)> {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256};
    match *data_type {
        Decimal32(digits, scale) | Decimal64(digits, scale) | Decimal128(digits, scale) | Decimal256(digits, scale) => {
            Some((digits.into(), scale.into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int32Type;
    use arrow_array::{DictionaryArray, Int64Array, StringArray};
    use arrow_schema::Field;
    use flowc_columns::testing::{array, every_type, values};

    use super::*;

    fn parse(text: &str) -> DataType {
        text.parse().unwrap()
    }

    /// The values of a column as Arrow shows them.
    fn shown(column: &ArrayRef) -> Vec<String> {
        let show = |row| arrow_cast::display::array_value_to_string(column, row).unwrap();
        (0..column.len()).map(show).collect()
    }

    #[test]
    fn types_convert_to_those_that_hold_their_values_and_to_no_others() {
        let text = ["Utf8", "LargeUtf8", "Utf8View"];
        let bytes = ["Binary", "LargeBinary", "BinaryView"];
        let times = ["Time32(s)", "Time32(ms)", "Time64(µs)", "Time64(ns)"];
        let instants = ["Timestamp(s, \"UTC\")", "Timestamp(ns, \"Europe/Berlin\")", "Timestamp(µs, \"+01:00\")"];
        let families: [&[&str]; 7] = [
            &text,
            &bytes,
            &times,
            &["Date32", "Date64"],
            &["Timestamp(s)", "Timestamp(ms)", "Timestamp(µs)", "Timestamp(ns)"],
            &instants,
            &["Duration(s)", "Duration(ms)", "Duration(µs)", "Duration(ns)"],
        ];
        for (place, family) in families.iter().enumerate() {
            for from in *family {
                for (other, to) in
                    families.iter().enumerate().flat_map(|(p, family)| family.iter().map(move |to| (p, to)))
                {
                    // Text is bytes, and of bytes it can be told whether they are text.
                    let expected = place == other || (place < 2 && other < 2);
                    assert_eq!(converts(&parse(from), &parse(to)), expected, "{from} to {to}");
                }
            }
        }
    }

    #[test]
    fn numbers_convert_to_wider_ones() {
        let table = [
            (
                "Int8",
                "Int16; Int32; Int64; Float32; Float64; Decimal32(3, 0); Decimal64(5, 0); Decimal64(5, 2); Decimal128(19, 0)",
            ),
            (
                "UInt8",
                "Int16; UInt16; Int32; Int64; UInt64; Float32; Float64; Decimal32(3, 0); Decimal64(5, 0); Decimal64(5, 2); Decimal128(19, 0)",
            ),
            ("Int16", "Int32; Int64; Float32; Float64; Decimal64(5, 0); Decimal128(19, 0)"),
            ("UInt16", "Int32; Int64; UInt64; Float32; Float64; Decimal64(5, 0); Decimal128(19, 0)"),
            ("Int32", "Int64; Float32; Float64; Decimal128(19, 0)"),
            ("Int64", "Float32; Float64; Decimal128(19, 0)"),
            ("UInt64", "Float32; Float64"),
            ("Float16", "Float32; Float64"),
            ("Float32", "Float64"),
            ("Float64", ""),
            ("Decimal32(3, 0)", "Decimal64(5, 0); Decimal64(5, 2); Decimal128(19, 0)"),
            ("Decimal64(5, 0)", "Decimal128(19, 0)"),
            ("Decimal64(5, 2)", ""),
            ("Decimal128(19, 0)", ""),
            ("Boolean", ""),
            ("Date32", ""),
            ("Utf8", ""),
        ];
        for (from, expected) in table {
            let others = table.iter().map(|(to, _)| *to).filter(|to| *to != from);
            let found: Vec<_> = others.filter(|to| converts(&parse(from), &parse(to))).collect();
            let mut expected: Vec<_> = expected.split("; ").filter(|to| !to.is_empty()).collect();
            expected.sort_by_key(|to| table.iter().position(|(name, _)| name == to));
            assert_eq!(found, expected, "{from}");
        }
    }

    #[test]
    fn a_value_that_the_type_does_not_hold_is_an_error() {
        let column = |ticks: &[i64], data_type: &str| {
            arrow_cast::cast(&Int64Array::from(ticks.to_vec()), &parse(data_type)).unwrap()
        };
        let fits = |ticks: &[i64], from: &str, to: &str| {
            let converted = convert(&column(ticks, from), &parse(to)).ok()?;
            Some(
                arrow_cast::cast(&converted, &DataType::Int64)
                    .unwrap()
                    .as_primitive::<arrow_array::types::Int64Type>()
                    .values()
                    .to_vec(),
            )
        };
        assert_eq!(fits(&[-2000, 0, 3000], "Timestamp(ms)", "Timestamp(s)"), Some(vec![-2, 0, 3]));
        assert_eq!(fits(&[-2001], "Timestamp(ms)", "Timestamp(s)"), None);
        assert_eq!(fits(&[i64::MAX / 1000], "Timestamp(ms)", "Timestamp(µs)"), Some(vec![i64::MAX / 1000 * 1000]));
        assert_eq!(fits(&[i64::MAX / 1000 + 1], "Timestamp(ms)", "Timestamp(µs)"), None);
        assert_eq!(fits(&[i64::MIN], "Duration(s)", "Duration(ns)"), None);
        assert_eq!(fits(&[86_400_000], "Date64", "Date32"), Some(vec![1]));
        assert_eq!(fits(&[86_400_001], "Date64", "Date32"), None);
        assert_eq!(fits(&[1 << 53], "Int64", "Float64"), Some(vec![1 << 53]));
        assert_eq!(fits(&[(1 << 53) + 1], "Int64", "Float64"), None);
        assert_eq!(fits(&[i64::MAX], "Int64", "Float64"), None);
        let latin: ArrayRef = Arc::new(arrow_array::BinaryArray::from(vec![&b"caf\xE9"[..]]));
        assert!(convert(&latin, &DataType::Utf8).is_err());
        assert!(convert(&latin, &DataType::FixedSizeBinary(4)).is_ok());
        assert!(convert(&latin, &DataType::FixedSizeBinary(5)).is_err());
    }

    #[test]
    fn dictionaries_and_their_values_convert_to_each_other() {
        let words: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        let words: ArrayRef = Arc::new(words);
        let small = DataType::Dictionary(Box::new(DataType::UInt8), Box::new(DataType::LargeUtf8));
        for to in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, small.clone()] {
            let converted = convert(&words, &to).unwrap();
            assert_eq!((converted.data_type(), shown(&converted)), (&to, shown(&words)));
            assert_eq!(shown(&convert(&converted, words.data_type()).unwrap()), shown(&words));
        }
        let many: ArrayRef = Arc::new(StringArray::from_iter_values((0..300).map(|i| i.to_string())));
        assert!(convert(&many, &small).is_err(), "more values than keys");
    }

    #[test]
    fn names_within_lists_and_maps_are_the_writers_affair() {
        let item = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
        let kinds = |name: &str, data_type: DataType| {
            let field = item(name, data_type);
            [
                DataType::List(field.clone()),
                DataType::LargeList(field.clone()),
                DataType::ListView(field.clone()),
                DataType::LargeListView(field.clone()),
                DataType::FixedSizeList(field, 2),
            ]
        };
        let lists = array(&DataType::FixedSizeList(item("item", DataType::Utf8), 2), 9, 3, 3);
        for from in kinds("item", DataType::Utf8) {
            let lists = convert(&lists, &from).unwrap().slice(1, 7);
            for to in kinds("element", DataType::LargeUtf8) {
                let converted = convert(&lists, &to).unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
                assert_eq!((converted.data_type(), shown(&converted)), (&to, shown(&lists)));
            }
        }
        let map = |entries: &str, key: &str, value: DataType| {
            let fields = vec![Field::new(key, DataType::Utf8, false), Field::new("value", value, true)];
            DataType::Map(Arc::new(Field::new(entries, DataType::Struct(fields.into()), false)), false)
        };
        let column = array(&map("entries", "keys", DataType::Int32), 9, 3, 3).slice(1, 7);
        let converted = convert(&column, &map("key_value", "key", DataType::Int64)).unwrap();
        assert_eq!(shown(&converted), shown(&column));
    }

    #[test]
    fn fields_are_found_by_name_and_none_is_lost() {
        let structure = |fields: &[(&str, DataType, bool)]| {
            let fields =
                fields.iter().map(|(name, data_type, nullable)| Field::new(*name, data_type.clone(), *nullable));
            DataType::Struct(fields.collect())
        };
        let from = structure(&[("a", DataType::Int32, true), ("b", DataType::Utf8, true)]);
        let column = array(&from, 20, 5, 5);
        let to = structure(&[("b", DataType::LargeUtf8, true), ("a", DataType::Int64, true)]);
        let back = convert(
            &convert(&column, &to).unwrap(),
            &structure(&[("b", DataType::Utf8, true), ("a", DataType::Int64, true)]),
        )
        .unwrap();
        let (back, column) = (back.as_struct(), column.as_struct());
        assert_eq!(shown(back.column_by_name("a").unwrap()), shown(column.column_by_name("a").unwrap()));
        assert_eq!(back.column_by_name("b"), column.column_by_name("b"));
        assert!(!converts(&from, &structure(&[("a", DataType::Int32, true)])));
        assert!(!converts(&from, &structure(&[("a", DataType::Int32, true), ("c", DataType::Utf8, true)])));
        let nulls: ArrayRef = Arc::new(arrow_array::Int32Array::from(vec![Some(1), None]));
        let nulls: ArrayRef =
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("a", DataType::Int32, true)), nulls)]));
        assert!(convert(&nulls, &structure(&[("a", DataType::Int64, true)])).is_ok());
        assert!(convert(&nulls, &structure(&[("a", DataType::Int64, false)])).is_err(), "a null where none may be");
    }

    #[test]
    fn whatever_converts_keeps_its_values() {
        for from in every_type() {
            let column = array(&from, 30, 7, 7);
            for to in every_type().into_iter().filter(|to| converts(&from, to)) {
                let Ok(converted) = convert(&column, &to) else { continue };
                assert_eq!(converted.data_type(), &to);
                assert_eq!(converted.logical_null_count(), column.logical_null_count(), "{from} to {to}");
                if let Ok(back) = convert(&converted, &from) {
                    assert_eq!(values(&back), values(&column), "{from} to {to}");
                }
            }
        }
    }

    #[test]
    fn a_column_of_nulls_is_one_of_any_type() {
        let nulls = new_null_array(&DataType::Null, 3);
        for to in every_type().into_iter().filter(|to| !matches!(to, DataType::Union(..))) {
            assert_eq!(convert(&nulls, &to).unwrap().logical_null_count(), 3, "{to}");
        }
    }
}
