//! Types and arrays of every kind, for property tests of whatever handles columns.
//!
//! An array is made from two seeds: one decides its logical content, the other how that content lies in memory (what is
//! under nulls, prefixes of buffers, order and duplicates of dictionaries, splits of runs). [`values`] reads the logical
//! content back, row by row, and shares no code with what is tested.

mod maker;
mod rare;
mod values;

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};
use proptest::prelude::*;

pub use rare::rare;
pub use values::{Value, values};

use maker::Maker;

/// An array of a type. Equal `content` seeds give logically equal arrays, whatever the `layout` seed.
pub fn array(data_type: &DataType, rows: usize, content: u64, layout: u64) -> ArrayRef {
    Maker::new(content, layout).column(data_type, rows)
}

/// Types: every simple one, and nested ones of some depth.
pub fn data_types() -> impl Strategy<Value = DataType> {
    let simple = prop::sample::select(simple_types());
    // Nested dictionaries are put together from several, for which 8 bits of key are too few.
    let narrow = |t: &DataType| matches!(t, DataType::Dictionary(key, _) if key.primitive_width() == Some(1));
    let wide = simple_types().into_iter().filter(|t| !narrow(t)).collect::<Vec<_>>();
    prop_oneof![1 => simple, 2 => nested(prop::sample::select(wide))]
}

fn nested(simple: impl Strategy<Value = DataType> + 'static) -> impl Strategy<Value = DataType> {
    simple.prop_recursive(3, 12, 3, |inner| {
        let field = inner.clone().prop_map(|data_type| Arc::new(Field::new("item", data_type, true)));
        let fields = prop::collection::vec(inner, 1..4);
        prop_oneof![
            field.clone().prop_map(DataType::List),
            field.clone().prop_map(DataType::LargeList),
            field.clone().prop_map(DataType::ListView),
            field.clone().prop_map(DataType::LargeListView),
            (field.clone(), 0..4i32).prop_map(|(field, size)| DataType::FixedSizeList(field, size)),
            field.prop_map(|field| map(field.data_type().clone())),
            fields.clone().prop_map(structure),
            fields.clone().prop_map(|types| union(types, UnionMode::Sparse)),
            fields.prop_map(|types| union(types, UnionMode::Dense)),
        ]
    })
}

/// Arrays of any type with up to so many rows.
pub fn arrays(rows: usize) -> impl Strategy<Value = ArrayRef> {
    (data_types(), 0..=rows, any::<u64>(), any::<u64>())
        .prop_map(|(data_type, rows, content, layout)| array(&data_type, rows, content, layout))
}

/// One type of every kind, nested ones too.
pub fn every_type() -> Vec<DataType> {
    let text = || Arc::new(Field::new("item", DataType::Utf8, true));
    let mut types = simple_types();
    types.extend([
        DataType::List(text()),
        DataType::LargeList(text()),
        DataType::ListView(text()),
        DataType::LargeListView(text()),
        DataType::FixedSizeList(text(), 2),
        map(DataType::Int64),
        structure(vec![DataType::Int32, DataType::Utf8]),
        union(vec![DataType::Int32, DataType::Utf8], UnionMode::Sparse),
        union(vec![DataType::Int32, DataType::Utf8], UnionMode::Dense),
        structure(vec![dictionary(DataType::UInt16, DataType::Utf8), runs(DataType::Int32, DataType::Utf8)]),
        DataType::List(Arc::new(Field::new("item", dictionary(DataType::Int32, DataType::LargeUtf8), true))),
        structure(vec![union(vec![DataType::Boolean, DataType::Utf8View], UnionMode::Dense)]),
        DataType::FixedSizeList(Arc::new(Field::new("item", structure(vec![DataType::Utf8View]), true)), 3),
    ]);
    types
}

/// One type of every kind but nested ones, with dictionaries and runs of such values.
pub fn simple_types() -> Vec<DataType> {
    use DataType::*;
    let mut types = vec![
        Null,
        Boolean,
        Int8,
        Int16,
        Int32,
        Int64,
        UInt8,
        UInt16,
        UInt32,
        UInt64,
        Float16,
        Float32,
        Float64,
        Date32,
        Date64,
        Utf8,
        LargeUtf8,
        Utf8View,
        Binary,
        LargeBinary,
        BinaryView,
        FixedSizeBinary(3),
        FixedSizeBinary(0),
        Decimal32(7, 2),
        Decimal64(12, -2),
        Decimal128(30, 4),
        Decimal256(60, 10),
        Time32(TimeUnit::Second),
        Time32(TimeUnit::Millisecond),
        Time64(TimeUnit::Microsecond),
        Time64(TimeUnit::Nanosecond),
        Interval(IntervalUnit::YearMonth),
        Interval(IntervalUnit::DayTime),
        Interval(IntervalUnit::MonthDayNano),
    ];
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        let zoned = ["UTC", "+05:30", "Europe/Berlin"].map(|zone| Timestamp(unit, Some(zone.into())));
        types.extend(zoned.into_iter().chain([Timestamp(unit, None), Duration(unit)]));
    }
    for key in [Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64] {
        types.extend([dictionary(key.clone(), Utf8), dictionary(key, Int64)]);
    }
    types.extend([
        dictionary(Int32, Utf8View),
        dictionary(Int16, Boolean),
        dictionary(Int32, structure(vec![Int8, Utf8])),
    ]);
    types.extend([runs(Int16, Utf8), runs(Int32, Int64), runs(Int64, Boolean), runs(Int32, dictionary(Int16, Utf8))]);
    types
}

fn dictionary(key: DataType, value: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(value))
}

fn runs(ends: DataType, values: DataType) -> DataType {
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    DataType::RunEndEncoded(field("run_ends", ends, false), field("values", values, true))
}

fn map(value: DataType) -> DataType {
    let entry = vec![Field::new("keys", DataType::Utf8, false), Field::new("values", value, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry.into()), false)), false)
}

fn structure(types: Vec<DataType>) -> DataType {
    let field = |(i, data_type)| Field::new(format!("f{i}"), data_type, true);
    DataType::Struct(types.into_iter().enumerate().map(field).collect::<Fields>())
}

fn union(types: Vec<DataType>, mode: UnionMode) -> DataType {
    let field = |(i, data_type): (usize, _)| (2 * i as i8 + 1, Arc::new(Field::new(format!("u{i}"), data_type, true)));
    DataType::Union(types.into_iter().enumerate().map(field).collect::<UnionFields>(), mode)
}
