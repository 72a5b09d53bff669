//! Values that chance seldom makes, for each type: at its ends, and those that texts, formats and floats treat in a way of their own.

use std::sync::Arc;

use arrow_array::{ArrayRef, make_array, new_null_array};
use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_data::transform::MutableArrayData;
use arrow_schema::{DataType, TimeUnit};

use super::array;

/// Days of the years 1 and 9999, at the ends of the calendars that texts have.
const CALENDAR: [i128; 2] = [-719_162, 2_932_896];
/// Seconds of a day.
const DAY: i128 = 86_400;

/// A column of the rare values of a type, with a null. Lists, structs and maps have them within, and are empty once.
pub fn rare(data_type: &DataType) -> ArrayRef {
    let column = match data_type {
        DataType::List(item) | DataType::Map(item, _) => {
            lists(data_type, item.data_type(), |end| (end as i32).to_le_bytes().to_vec())
        }
        DataType::LargeList(item) => lists(data_type, item.data_type(), |end| (end as i64).to_le_bytes().to_vec()),
        DataType::FixedSizeList(item, size) => {
            let (items, size) = (rare(item.data_type()), *size as usize);
            let rows = items.len() / size.max(1);
            let picks = (0..rows * size).collect::<Vec<_>>();
            let builder = ArrayData::builder(data_type.clone()).len(rows).add_child_data(picked(&items, &picks));
            build(builder)
        }
        DataType::Struct(fields) => {
            let children: Vec<ArrayRef> =
                fields.iter().map(|field| rare_of(field.data_type(), field.is_nullable())).collect();
            let rows = children.iter().map(|child| child.len()).max().unwrap_or(1);
            let child = |child: &ArrayRef| picked(child, &(0..rows).map(|row| row % child.len()).collect::<Vec<_>>());
            build(ArrayData::builder(data_type.clone()).len(rows).child_data(children.iter().map(child).collect()))
        }
        DataType::Dictionary(key, value) => {
            let values = rare(value);
            let width = key.primitive_width().unwrap_or(1);
            let keys: Vec<u8> = (0..values.len()).flat_map(|at| at.to_le_bytes()[..width].to_vec()).collect();
            let builder = ArrayData::builder(data_type.clone()).len(values.len()).add_buffer(aligned(&keys));
            build(builder.add_child_data(values.to_data()))
        }
        DataType::RunEndEncoded(ends, values) => {
            let values = rare(values.data_type());
            let width = ends.data_type().primitive_width().unwrap_or(2);
            let bytes: Vec<u8> = (1..=values.len()).flat_map(|end| end.to_le_bytes()[..width].to_vec()).collect();
            let ends = ArrayData::builder(ends.data_type().clone()).len(values.len()).add_buffer(aligned(&bytes));
            let children = vec![build(ends).to_data(), values.to_data()];
            return build(ArrayData::builder(data_type.clone()).len(values.len()).child_data(children));
        }
        DataType::Null => return new_null_array(data_type, 2),
        // Their parts are tested by themselves.
        DataType::Union(..) | DataType::ListView(_) | DataType::LargeListView(_) => return array(data_type, 40, 1, 1),
        _ => leaves(data_type),
    };
    with_null(&column)
}

fn rare_of(data_type: &DataType, nullable: bool) -> ArrayRef {
    let column = rare(data_type);
    let valid: Vec<usize> = (0..column.len()).filter(|row| nullable || column.is_valid(*row)).collect();
    make_array(picked(&column, &valid))
}

/// Rows: none, each item alone, and all at once.
fn lists(data_type: &DataType, item: &DataType, offset: fn(usize) -> Vec<u8>) -> ArrayRef {
    let items = rare(item);
    let valid: Vec<usize> = match data_type {
        // Their keys are never null, and occur once in a row.
        DataType::Map(..) => (0..items.len()).filter(|row| items.is_valid(*row)).collect(),
        _ => (0..items.len()).collect(),
    };
    let picks: Vec<usize> = valid.iter().chain(&valid).copied().collect();
    let ends = [0, 0].into_iter().chain(1..=valid.len()).chain([picks.len()]);
    let offsets: Vec<u8> = ends.clone().flat_map(offset).collect();
    let builder = ArrayData::builder(data_type.clone()).len(ends.count() - 1).add_buffer(aligned(&offsets));
    build(builder.add_child_data(picked(&items, &picks)))
}

fn leaves(data_type: &DataType) -> ArrayRef {
    let values: Vec<Vec<u8>> = match data_type {
        DataType::Boolean => {
            let bits = ArrayData::builder(DataType::Boolean).len(2).add_buffer(Buffer::from_slice_ref([0b10_u8]));
            return build(bits);
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => texts(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => bytes(),
        DataType::FixedSizeBinary(width) => [0, 0x22, 0x80, 0xff].map(|byte| vec![byte; *width as usize]).to_vec(),
        DataType::Float16 => floats(10, 5),
        DataType::Float32 => floats(23, 8),
        DataType::Float64 => floats(52, 11),
        DataType::Decimal256(digits, _) => {
            let most = arrow_buffer::i256::from_i128(10).wrapping_pow(u32::from(*digits)).wrapping_sub(1.into());
            let all = [most, most.wrapping_neg(), 0.into(), 1.into(), (-1).into()];
            all.map(|value| value.to_le_bytes().to_vec()).to_vec()
        }
        other => {
            let width = other.primitive_width().unwrap_or(0);
            numbers(other, width).iter().map(|number| number.to_le_bytes()[..width].to_vec()).collect()
        }
    };
    let rows = values.len();
    let builder = ArrayData::builder(data_type.clone()).len(rows);
    match data_type {
        DataType::Utf8View => Arc::new(arrow_array::StringViewArray::from_iter_values(
            values.iter().map(|text| String::from_utf8_lossy(text)),
        )),
        DataType::BinaryView => Arc::new(arrow_array::BinaryViewArray::from_iter_values(values)),
        DataType::Utf8 | DataType::Binary | DataType::LargeUtf8 | DataType::LargeBinary => {
            let is_large = matches!(data_type, DataType::LargeUtf8 | DataType::LargeBinary);
            let width = if is_large { 8 } else { 4 };
            let ends = values.iter().scan(0, |end: &mut usize, value| {
                *end += value.len();
                Some(*end)
            });
            let offsets: Vec<u8> =
                [0].into_iter().chain(ends).flat_map(|end| end.to_le_bytes()[..width].to_vec()).collect();
            build(builder.add_buffer(aligned(&offsets)).add_buffer(aligned(&values.concat())))
        }
        _ => build(builder.add_buffer(aligned(&values.concat()))),
    }
}

/// Zeros, numbers that are none with a payload and signaling, infinities, the least and the largest of normal and other ones.
fn floats(fraction: u32, exponent: u32) -> Vec<Vec<u8>> {
    let (width, sign) = ((1 + fraction + exponent) as usize / 8, 1_u64 << (fraction + exponent));
    let infinity = ((1 << exponent) - 1) << fraction;
    let quiet = 1 << (fraction - 1);
    let one = ((1 << (exponent - 1)) - 1) << fraction;
    let positive = [
        0,
        1,
        (1 << fraction) - 1,
        1 << fraction,
        one,
        one + 1,
        infinity - 1,
        infinity,
        infinity + 1,
        infinity | quiet,
        infinity | quiet | 1,
        sign - 1,
    ];
    positive
        .iter()
        .flat_map(|bits| [*bits, bits | sign])
        .map(|bits: u64| bits.to_le_bytes()[..width].to_vec())
        .collect()
}

/// Numbers of so many bytes: at the ends of their width, and where their type has others.
fn numbers(data_type: &DataType, width: usize) -> Vec<i128> {
    let (least, most) = (i128::MIN >> (128 - 8 * width), i128::MAX >> (128 - 8 * width));
    let a_second = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let calendar = |a_day: i128| {
        let ends = CALENDAR.map(|day| day * a_day);
        let around = ends.map(|end| [end - a_day, end - 1, end, end + 1, end + a_day - 1, end + a_day]);
        [around.concat(), vec![a_day, -a_day, a_day - 1]].concat()
    };
    let own = match data_type {
        DataType::Decimal32(digits, _) | DataType::Decimal64(digits, _) | DataType::Decimal128(digits, _) => {
            let most = 10_i128.pow(u32::from(*digits)) - 1;
            return vec![most, -most, 0, 1, -1, 10];
        }
        DataType::Date32 => calendar(1),
        DataType::Date64 => calendar(DAY * 1000),
        DataType::Timestamp(unit, _) => {
            let second = a_second(unit);
            [
                calendar(DAY * second),
                vec![second, -second, i128::from(i64::MAX) / 1000, i128::from(i64::MAX) / 1000 + 1],
            ]
            .concat()
        }
        DataType::Time32(unit) | DataType::Time64(unit) => {
            vec![DAY * a_second(unit) - 1, DAY * a_second(unit), 1000, 1001]
        }
        _ => vec![1 << (4 * width), 1000],
    };
    let ends = [least, least + 1, -1, 0, 1, most - 1, most];
    ends.into_iter().chain(own).filter(|number| (least..=most).contains(number)).collect()
}

fn texts() -> Vec<Vec<u8>> {
    const TEXTS: [&str; 28] = [
        "",
        " ",
        "\0",
        "a\0b",
        "\"",
        "\"\"",
        "'",
        "a,b",
        "\n",
        "a\r\nb",
        "\r",
        "\t",
        "\\",
        "\\N",
        "null",
        "NULL",
        "NaN",
        "true",
        "0",
        "-0",
        "1e400",
        "\u{feff}a",
        "\u{7f}\u{85}",
        "e\u{301}",
        "\u{10ffff}",
        "{\"a\":1}",
        "#",
        "a text that is longer than any view holds inline",
    ];
    TEXTS.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn bytes() -> Vec<Vec<u8>> {
    let others = [vec![0xff], vec![0xc3], vec![0xed, 0xa0, 0x80], (0..=255).collect()];
    texts().into_iter().chain(others).collect()
}

/// The rows, and one that is null.
fn with_null(column: &ArrayRef) -> ArrayRef {
    let (data, null) = (column.to_data(), new_null_array(column.data_type(), 1).to_data());
    let mut rows = MutableArrayData::new(vec![&data, &null], true, data.len() + 1);
    rows.try_extend(0, 0, data.len()).expect("arrays of a test are small");
    rows.try_extend(1, 0, 1).expect("arrays of a test are small");
    make_array(rows.freeze())
}

fn picked(column: &ArrayRef, picks: &[usize]) -> ArrayData {
    let data = column.to_data();
    let mut rows = MutableArrayData::new(vec![&data], false, picks.len());
    picks.iter().for_each(|&row| rows.try_extend(0, row, row + 1).expect("arrays of a test are small"));
    rows.freeze()
}

fn aligned(bytes: &[u8]) -> Buffer {
    Buffer::from_slice_ref(bytes)
}

fn build(builder: arrow_data::ArrayDataBuilder) -> ArrayRef {
    let data = builder.build().expect("a made array is valid");
    data.validate_full().expect("a made array is valid in full");
    make_array(data)
}

#[cfg(test)]
mod tests {
    use super::super::{every_type, values};
    use super::*;

    #[test]
    fn every_type_has_rare_values_and_a_null() {
        for data_type in every_type() {
            let column = rare(&data_type);
            assert_eq!(column.data_type(), &data_type);
            let is_by_chance =
                matches!(data_type, DataType::Union(..) | DataType::ListView(_) | DataType::LargeListView(_));
            let has_null = values(&column).contains(&crate::testing::Value::Null);
            assert!(column.len() > 1 && (has_null || is_by_chance), "{data_type}");
        }
        let signaling = arrow_array::Float64Array::from(rare(&DataType::Float64).to_data());
        assert!(signaling.iter().flatten().any(|float| float.to_bits() == f64::INFINITY.to_bits() + 1));
        assert!(signaling.iter().flatten().any(|float| float.to_bits() == (-0.0_f64).to_bits()));
    }
}
