//! In which of Arrow's types columns are decoded.

use arrow_schema::{DataType, FieldRef, TimeUnit};
use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

/// How a column is read that has leaves without a type of Arrow's ([`is_open`]). INT96 is read as the source's column, where
/// that has times; else in the unit of the note that the writer left for Arrow, where there is one, or in microseconds, as
/// those wrote it who wrote INT96 by default. Enumerations are text. `leaves`: those of the column, in order.
pub(super) fn read_as(
    found: &DataType,
    wanted: Option<&DataType>,
    has_note: bool,
    leaves: &mut impl Iterator<Item = ColumnDescPtr>,
) -> DataType {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView, Map, Struct};
    let mut field = |field: &FieldRef, wanted: Option<&DataType>| -> FieldRef {
        let data_type = read_as(field.data_type(), wanted, has_note, leaves);
        field.as_ref().clone().with_data_type(data_type).into()
    };
    match found {
        List(item) => List(field(item, wanted.and_then(item_of))),
        LargeList(item) => LargeList(field(item, wanted.and_then(item_of))),
        ListView(item) => ListView(field(item, wanted.and_then(item_of))),
        LargeListView(item) => LargeListView(field(item, wanted.and_then(item_of))),
        FixedSizeList(item, size) => FixedSizeList(field(item, wanted.and_then(item_of)), *size),
        Map(entries, sorted) => Map(field(entries, wanted.and_then(item_of)), *sorted),
        Struct(fields) => {
            let read =
                |(place, own): (usize, &FieldRef)| field(own, wanted.and_then(|it| part_of(it, own.name(), place)));
            Struct(fields.iter().enumerate().map(read).collect())
        }
        leaf => match (leaves.next(), wanted) {
            (Some(column), Some(wanted @ DataType::Timestamp(..))) if is_int96(&column) => wanted.clone(),
            (Some(column), _) if is_int96(&column) && !has_note => DataType::Timestamp(TimeUnit::Microsecond, None),
            (Some(column), _) if is_enumeration(&column) && *leaf == DataType::Binary => DataType::Utf8,
            _ => leaf.clone(),
        },
    }
}

/// Whether a leaf has no type of Arrow's.
pub(super) fn is_open(leaf: &ColumnDescriptor) -> bool {
    is_int96(leaf) || is_enumeration(leaf)
}

fn is_int96(leaf: &ColumnDescriptor) -> bool {
    leaf.physical_type() == Type::INT96
}

fn is_enumeration(leaf: &ColumnDescriptor) -> bool {
    leaf.logical_type_ref() == Some(&LogicalType::Enum) || leaf.converted_type() == ConvertedType::ENUM
}

fn item_of(data_type: &DataType) -> Option<&DataType> {
    use DataType::{FixedSizeList, LargeList, LargeListView, List, ListView, Map};
    match data_type {
        List(item) | LargeList(item) | ListView(item) | LargeListView(item) => Some(item.data_type()),
        FixedSizeList(item, _) | Map(item, _) => Some(item.data_type()),
        _ => None,
    }
}

/// A field of a struct by its name; a map's keys and values, which have any names, by their place.
fn part_of<'a>(data_type: &'a DataType, name: &str, place: usize) -> Option<&'a DataType> {
    let DataType::Struct(fields) = data_type else { return None };
    let named = fields.iter().find(|field| field.name() == name);
    named.or_else(|| fields.get(place)).map(|field| field.data_type())
}

/// The types of a type's leaves, in order.
pub(super) fn leaves(data_type: &DataType) -> Vec<&DataType> {
    match data_type {
        DataType::Struct(fields) => fields.iter().flat_map(|field| leaves(field.data_type())).collect(),
        other => item_of(other).map_or_else(|| vec![other], leaves),
    }
}
