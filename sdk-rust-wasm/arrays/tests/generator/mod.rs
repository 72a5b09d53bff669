//! Random types, and random arrays of them.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryViewArray, BooleanArray, DictionaryArray, FixedSizeListArray, GenericByteArray, GenericListArray,
    GenericListViewArray, MapArray, NullArray, OffsetSizeTrait, PrimitiveArray, RunArray, StringViewArray, StructArray,
    UnionArray, make_array, types,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_data::{ArrayData, BufferSpec, layout};
use arrow_schema::{DataType, Field, FieldRef, Fields, IntervalUnit, TimeUnit, UnionFields, UnionMode};

/// A small generator of numbers, so that a test case is one seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    fn text(&mut self) -> String {
        let length = [0, 1, 5, 12, 13, 40][self.below(6)];
        (0..length).map(|_| ['a', 'é', '漢', '😀', ' '][self.below(5)]).collect()
    }

    fn nulls(&mut self, length: usize, nullable: bool) -> Option<NullBuffer> {
        (nullable && self.below(3) > 0).then(|| (0..length).map(|_| self.below(4) > 0).collect())
    }
}

/// All types without children.
pub(crate) fn plain_types() -> Vec<DataType> {
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
        Utf8,
        LargeUtf8,
        Binary,
        LargeBinary,
        Utf8View,
        BinaryView,
        FixedSizeBinary(0),
        FixedSizeBinary(5),
        Date32,
        Date64,
        Decimal32(7, 2),
        Decimal64(16, 3),
        Decimal128(30, 4),
        Decimal256(70, 5),
        Interval(IntervalUnit::YearMonth),
        Interval(IntervalUnit::DayTime),
        Interval(IntervalUnit::MonthDayNano),
        Time32(TimeUnit::Second),
        Time64(TimeUnit::Nanosecond),
        Duration(TimeUnit::Microsecond),
        Timestamp(TimeUnit::Millisecond, None),
    ];
    types.push(Timestamp(TimeUnit::Second, Some("Europe/Rome".into())));
    types
}

/// Whether random arrays of a type are free of nulls if told so.
pub(crate) fn can_be_required(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..))
}

fn item(random: &mut Random, depth: usize) -> FieldRef {
    let data_type = data_type(random, depth);
    let nullable = random.below(3) > 0 || !can_be_required(&data_type);
    Arc::new(Field::new("item", data_type, nullable))
}

/// Any type, nested up to `depth` levels.
pub(crate) fn data_type(random: &mut Random, depth: usize) -> DataType {
    let plain = plain_types();
    if depth == 0 || random.below(3) == 0 {
        return plain[random.below(plain.len())].clone();
    }
    let depth = depth - 1;
    match random.below(12) {
        0 => DataType::List(item(random, depth)),
        1 => DataType::LargeList(item(random, depth)),
        2 => DataType::ListView(item(random, depth)),
        3 => DataType::LargeListView(item(random, depth)),
        4 => DataType::FixedSizeList(item(random, depth), random.below(4) as i32),
        5 | 6 => {
            let fields = (0..random.below(4)).map(|i| item(random, depth).as_ref().clone().with_name(i.to_string()));
            DataType::Struct(fields.collect::<Vec<_>>().into())
        }
        7 => {
            let key = Field::new("keys", DataType::Utf8, false);
            let value = item(random, depth).as_ref().clone().with_name("values");
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(vec![key, value].into()), false)), false)
        }
        8 => DataType::Dictionary(Box::new(DataType::Int8), Box::new(plain[1 + random.below(plain.len() - 1)].clone())),
        9 => {
            let ends = [DataType::Int16, DataType::Int32, DataType::Int64][random.below(3)].clone();
            let ends = Field::new("run_ends", ends, false);
            let values = item(random, 0).as_ref().clone().with_name("values").with_nullable(true);
            DataType::RunEndEncoded(Arc::new(ends), Arc::new(values))
        }
        mode => {
            let fields = (0..1 + random.below(3)).map(|i| (i as i8 * 3, nullable_item(random, depth)));
            let mode = if mode == 10 { UnionMode::Sparse } else { UnionMode::Dense };
            DataType::Union(fields.collect::<UnionFields>(), mode)
        }
    }
}

fn nullable_item(random: &mut Random, depth: usize) -> FieldRef {
    Arc::new(item(random, depth).as_ref().clone().with_nullable(true))
}

/// Any array of a type.
pub(crate) fn array(random: &mut Random, data_type: &DataType, length: usize, nullable: bool) -> ArrayRef {
    use DataType::*;
    match data_type {
        Null => Arc::new(NullArray::new(length)),
        Boolean => {
            let values = (0..length).map(|_| random.below(2) == 0).collect();
            Arc::new(BooleanArray::new(values, random.nulls(length, nullable)))
        }
        Utf8 => bytes::<types::Utf8Type>(random, length, nullable),
        LargeUtf8 => bytes::<types::LargeUtf8Type>(random, length, nullable),
        Binary => bytes::<types::BinaryType>(random, length, nullable),
        LargeBinary => bytes::<types::LargeBinaryType>(random, length, nullable),
        Utf8View => Arc::new(texts(random, length, nullable).into_iter().collect::<StringViewArray>()),
        BinaryView => Arc::new(texts(random, length, nullable).into_iter().collect::<BinaryViewArray>()),
        List(field) => list::<i32>(random, field, length, nullable),
        LargeList(field) => list::<i64>(random, field, length, nullable),
        ListView(field) => list_view::<i32>(random, field, length, nullable),
        LargeListView(field) => list_view::<i64>(random, field, length, nullable),
        FixedSizeList(field, size) => {
            let values = array(random, field.data_type(), length * *size as usize, field.is_nullable());
            let nulls = random.nulls(length, nullable);
            Arc::new(FixedSizeListArray::try_new_with_length(field.clone(), *size, values, nulls, length).unwrap())
        }
        Struct(fields) => Arc::new(structs(random, fields, length, nullable)),
        Map(entries, _) => map(random, entries, length, nullable),
        Dictionary(_, values) => dictionary(random, values, length, nullable),
        RunEndEncoded(ends, values) => match ends.data_type() {
            Int16 => runs::<types::Int16Type>(random, values, length),
            Int32 => runs::<types::Int32Type>(random, values, length),
            _ => runs::<types::Int64Type>(random, values, length),
        },
        Union(fields, mode) => union(random, fields, *mode, length),
        fixed => fixed_width(random, fixed, length, nullable),
    }
}

fn fixed_width(random: &mut Random, data_type: &DataType, length: usize, nullable: bool) -> ArrayRef {
    let [BufferSpec::FixedWidth { byte_width, .. }] = layout(data_type).buffers[..] else { panic!("{data_type}") };
    let values = Buffer::from(match data_type {
        DataType::Date64 => multiples(random, length, byte_width, 86_400_000),
        DataType::Time32(_) | DataType::Time64(_) => multiples(random, length, byte_width, 1),
        decimal if decimal.is_decimal() => multiples(random, length, byte_width, 1),
        _ => random.bytes(length * byte_width),
    });
    let nulls = random.nulls(length, nullable);
    let data = ArrayData::builder(data_type.clone()).len(length).nulls(nulls).add_buffer(values);
    make_array(data.align_buffers(true).build().unwrap())
}

/// Small multiples of a unit, for types that can't hold any number.
fn multiples(random: &mut Random, length: usize, width: usize, unit: u64) -> Vec<u8> {
    let value = |random: &mut Random| (random.below(100) as u64 * unit).to_le_bytes();
    let padded = |bytes: [u8; 8]| bytes.into_iter().chain([0; 24]).take(width);
    (0..length).flat_map(|_| padded(value(random))).collect()
}

fn texts(random: &mut Random, length: usize, nullable: bool) -> Vec<Option<String>> {
    (0..length).map(|_| (!nullable || random.below(4) > 0).then(|| random.text())).collect()
}

fn bytes<T: types::ByteArrayType>(random: &mut Random, length: usize, nullable: bool) -> ArrayRef {
    let texts: Vec<String> = (0..length).map(|_| random.text()).collect();
    let offsets = OffsetBuffer::<T::Offset>::from_lengths(texts.iter().map(String::len));
    let values = Buffer::from(texts.concat().into_bytes());
    Arc::new(GenericByteArray::<T>::new(offsets, values, random.nulls(length, nullable)))
}

fn lengths(random: &mut Random, length: usize) -> Vec<usize> {
    (0..length).map(|_| random.below(4)).collect()
}

fn list<O: OffsetSizeTrait>(random: &mut Random, field: &FieldRef, length: usize, nullable: bool) -> ArrayRef {
    let offsets = OffsetBuffer::<O>::from_lengths(lengths(random, length));
    let values = array(random, field.data_type(), offsets[length].as_usize(), field.is_nullable());
    Arc::new(GenericListArray::new(field.clone(), offsets, values, random.nulls(length, nullable)))
}

fn list_view<O: OffsetSizeTrait>(random: &mut Random, field: &FieldRef, length: usize, nullable: bool) -> ArrayRef {
    let values = array(random, field.data_type(), 20, field.is_nullable());
    let spans: Vec<(usize, usize)> = (0..length).map(|_| (random.below(17), random.below(4))).collect();
    let offsets: ScalarBuffer<O> = spans.iter().map(|(offset, _)| O::usize_as(*offset)).collect();
    let sizes: ScalarBuffer<O> = spans.iter().map(|(_, size)| O::usize_as(*size)).collect();
    Arc::new(GenericListViewArray::new(field.clone(), offsets, sizes, values, random.nulls(length, nullable)))
}

fn structs(random: &mut Random, fields: &Fields, length: usize, nullable: bool) -> StructArray {
    let columns = fields.iter().map(|field| array(random, field.data_type(), length, field.is_nullable())).collect();
    let nulls = random.nulls(length, nullable);
    StructArray::try_new_with_length(fields.clone(), columns, nulls, length).unwrap()
}

fn map(random: &mut Random, entries: &FieldRef, length: usize, nullable: bool) -> ArrayRef {
    let DataType::Struct(fields) = entries.data_type() else { panic!("{entries}") };
    let offsets = OffsetBuffer::from_lengths(lengths(random, length));
    let values = structs(random, fields, offsets[length] as usize, false);
    Arc::new(MapArray::new(entries.clone(), offsets, values, random.nulls(length, nullable), false))
}

fn dictionary(random: &mut Random, values: &DataType, length: usize, nullable: bool) -> ArrayRef {
    let values = array(random, values, 9, false);
    let keys = (0..length).map(|_| random.below(9) as i8).collect();
    let keys = PrimitiveArray::<types::Int8Type>::new(keys, random.nulls(length, nullable));
    Arc::new(DictionaryArray::new(keys, values))
}

fn runs<R: types::RunEndIndexType>(random: &mut Random, values: &FieldRef, length: usize) -> ArrayRef {
    use arrow_buffer::ArrowNativeType;
    let mut ends = Vec::new();
    let mut end = 0;
    while end < length {
        end = (end + 1 + random.below(5)).min(length);
        ends.push(R::Native::usize_as(end));
    }
    let values = array(random, values.data_type(), ends.len(), true);
    let ends = PrimitiveArray::<R>::new(ends.into(), None);
    Arc::new(RunArray::try_new(&ends, values.as_ref()).unwrap())
}

fn union(random: &mut Random, fields: &UnionFields, mode: UnionMode, length: usize) -> ArrayRef {
    let ids: Vec<i8> = fields.iter().map(|(id, _)| id).collect();
    let child_length = if mode == UnionMode::Sparse { length } else { 6 };
    let children = fields.iter().map(|(_, field)| array(random, field.data_type(), child_length, true)).collect();
    let type_ids = (0..length).map(|_| ids[random.below(ids.len())]).collect();
    let offsets = (mode == UnionMode::Dense).then(|| (0..length).map(|_| random.below(6) as i32).collect());
    Arc::new(UnionArray::try_new(fields.clone(), type_ids, offsets, children).unwrap())
}
