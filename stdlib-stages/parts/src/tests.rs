//! Rows of all types there and back, and their order.

use flowc_sdk::arrow::array::*;
use flowc_sdk::arrow::datatypes::*;
use flowc_sdk::prelude::*;

use crate::{Format, Grouper, Mistakes, Rows, gather, joined, plain};

/// Columns in ascending order of values, nulls first, one of each type.
fn ascending() -> Vec<ArrayRef> {
    let texts = [None, Some(""), Some("\0"), Some("\0a"), Some("a"), Some("ab"), Some("b")];
    let bytes = || texts.iter().map(|text| text.map(str::as_bytes));
    let big = i256::from_i128(i128::MAX);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(texts.to_vec())),
        Arc::new(LargeStringArray::from(texts.to_vec())),
        Arc::new(StringViewArray::from(texts.to_vec())),
        Arc::new(bytes().collect::<BinaryArray>()),
        Arc::new(bytes().collect::<LargeBinaryArray>()),
        Arc::new(bytes().collect::<BinaryViewArray>()),
        Arc::new(
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(
                [None, Some([0, 0]), Some([0, 1]), Some([9, 9])].into_iter(),
                2,
            )
            .unwrap(),
        ),
        Arc::new(BooleanArray::from(vec![None, Some(false), Some(true)])),
        Arc::new(NullArray::new(1)),
        Arc::new(Float64Array::from(vec![
            None,
            Some(f64::NEG_INFINITY),
            Some(-1.5),
            Some(0.0),
            Some(5e-324),
            Some(f64::INFINITY),
            Some(f64::NAN),
        ])),
        Arc::new(Float32Array::from(vec![None, Some(f32::MIN), Some(0.0), Some(f32::MAX), Some(f32::NAN)])),
        Arc::new(
            Decimal256Array::from(vec![None, Some(-big * big), Some(i256::MINUS_ONE), Some(i256::ZERO), Some(big)])
                .with_precision_and_scale(76, 3)
                .unwrap(),
        ),
        Arc::new(
            Decimal128Array::from(vec![None, Some(-(10_i128.pow(38)) + 1), Some(-1), Some(0), Some(10_i128.pow(37))])
                .with_precision_and_scale(38, 3)
                .unwrap(),
        ),
        Arc::new(
            TimestampMicrosecondArray::from(vec![None, Some(i64::MIN), Some(0), Some(i64::MAX)]).with_timezone("UTC"),
        ),
        Arc::new(Date32Array::from(vec![None, Some(-1), Some(0)])),
        Arc::new(DurationSecondArray::from(vec![None, Some(-1), Some(0)])),
        Arc::new(UInt64Array::from(vec![None, Some(0), Some(u64::MAX)])),
        Arc::new(UInt8Array::from(vec![None, Some(0), Some(255)])),
        Arc::new(Int8Array::from(vec![None, Some(-128), Some(127)])),
        Arc::new(Int64Array::from(vec![None, Some(i64::MIN), Some(-1), Some(0), Some(i64::MAX)])),
    ];
    let halves: Vec<_> =
        columns.iter().filter(|column| column.len() > 2).map(|column| column.slice(1, column.len() - 1)).collect();
    columns.extend(halves);
    columns
}

fn nullable(array: &ArrayRef) -> FieldRef {
    field("x", array.data_type().clone(), array.logical_null_count() > 0)
}

fn is_ascending(rows: &Rows) -> bool {
    match rows {
        Rows::Small(words) => words.is_sorted_by(|a, b| a < b),
        Rows::Wide(words) => words.is_sorted_by(|a, b| a < b),
        Rows::Bytes(rows) => (1..rows.len()).all(|row| rows.get(row - 1) < rows.get(row)),
    }
}

#[test]
fn values_of_every_type_keep_their_order_and_come_back() {
    for array in ascending() {
        let format = Format::new(&[nullable(&array)]).unwrap();
        let rows = format.rows(std::slice::from_ref(&array), array.len()).unwrap();
        assert!(is_ascending(&rows), "{}", array.data_type());
        assert_eq!(&format.columns(&rows).unwrap(), std::slice::from_ref(&array), "{}", array.data_type());
    }
}

#[test]
fn rows_of_two_columns_are_compared_by_the_first_and_then_by_the_second() {
    let all = ascending();
    for (a, b) in all.iter().zip(all.iter().rev()) {
        let pairs: Vec<(usize, usize)> = (0..a.len()).flat_map(|i| (0..b.len()).map(move |j| (i, j))).collect();
        let pick = |array: &ArrayRef, rows: Vec<usize>| {
            let keys = Int32Array::from_iter_values(rows.into_iter().map(|row| row as i32));
            Arc::new(DictionaryArray::<Int32Type>::new(keys, array.clone())) as ArrayRef
        };
        let columns =
            [pick(a, pairs.iter().map(|pair| pair.0).collect()), pick(b, pairs.iter().map(|pair| pair.1).collect())];
        let format = Format::new(&columns.each_ref().map(nullable)).unwrap();
        let rows = format.rows(&columns, pairs.len()).unwrap();
        assert!(is_ascending(&rows), "{} {}", a.data_type(), b.data_type());
        let plain: Vec<ArrayRef> = columns.iter().map(|column| plain(column).unwrap()).collect();
        assert_eq!(format.columns(&rows).unwrap(), plain);
    }
}

#[test]
fn zeros_and_numbers_that_are_none_are_one_key_each() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, f64::NAN, 0.0, -f64::NAN, 1.0]));
    let mut grouper = Grouper::new(&[nullable(&floats)]).unwrap();
    assert_eq!(grouper.numbers(&[floats], 5).unwrap(), [0, 1, 0, 1, 2]);
    assert_eq!(grouper.sorted(), [0, 2, 1]);
}

#[test]
fn many_keys_keep_their_numbers() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..50_000).map(|i| i * 7919 % 20_011)));
    let texts: ArrayRef = Arc::new(
        numbers
            .as_primitive::<Int64Type>()
            .iter()
            .map(|n| n.map(|n| format!("{}{n}", "x".repeat(n as usize % 30))))
            .collect::<StringArray>(),
    );
    let wide: ArrayRef =
        Arc::new(numbers.as_primitive::<Int64Type>().iter().map(|n| n.map(i128::from)).collect::<Decimal128Array>());
    for columns in [vec![numbers.clone()], vec![wide], vec![texts.clone()], vec![numbers.clone(), texts]] {
        let fields: Vec<FieldRef> = columns.iter().map(nullable).collect();
        let mut grouper = Grouper::new(&fields).unwrap();
        let keys = grouper.numbers(&columns, 50_000).unwrap();
        assert_eq!(grouper.len(), 20_011);
        assert_eq!(grouper.columns(&keys).unwrap(), columns);
        assert_eq!(grouper.numbers(&columns, 50_000).unwrap(), keys);
        let sorted = grouper.columns(&grouper.sorted()).unwrap();
        assert!(is_ascending(&Format::new(&fields).unwrap().rows(&sorted, 20_011).unwrap()));
    }
}

#[test]
fn null_is_a_key_and_the_first_one_whenever_it_comes() {
    let column = |values: &[Option<i64>]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let values = [Some(5), None, Some(0), Some(i64::MIN), None, Some(5), Some(i64::MAX)];
    let due = [0, 1, 2, 3, 1, 0, 4];
    let dictionary: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::new(
        Int8Array::from(vec![Some(0), None, Some(1), Some(2), Some(4), Some(0), Some(3)]),
        column(&[Some(5), Some(0), Some(i64::MIN), Some(i64::MAX), None]),
    ));
    for array in [column(&values), dictionary] {
        let mut grouper = Grouper::new(&[field("x", array.data_type().clone(), true)]).unwrap();
        // No null has come yet.
        assert_eq!(grouper.numbers(&[array.slice(0, 1)], 1).unwrap(), due[..1]);
        assert_eq!(grouper.sorted(), [0]);
        assert_eq!(grouper.numbers(std::slice::from_ref(&array), 7).unwrap(), due);
        assert_eq!((grouper.len(), grouper.sorted()), (5, vec![1, 3, 2, 0, 4]));
        assert_eq!(grouper.columns(&due).unwrap(), [column(&values)]);
        let mut rows = Vec::new();
        let skipped = flowc_sdk::arrow::buffer::NullBuffer::from(vec![true, false, true, true, true, false, false]);
        grouper.each(&[array], 7, Some(&skipped), |row, number| rows.push((row, number))).unwrap();
        assert_eq!(rows, [(0, 0), (2, 2), (3, 3), (4, 1)]);
    }
}

#[test]
fn rows_without_columns_have_one_key() {
    let mut grouper = Grouper::new(&[]).unwrap();
    assert!(grouper.is_empty());
    assert_eq!(grouper.numbers(&[], 3).unwrap(), [0, 0, 0]);
    assert_eq!((grouper.len(), grouper.sorted()), (1, vec![0]));
}

#[test]
fn runs_are_their_values() {
    let runs: ArrayRef = Arc::new(
        RunArray::<Int32Type>::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec!["a", "b"])).unwrap(),
    );
    assert_eq!(plain(&runs).unwrap().as_string::<i32>(), &StringArray::from(vec!["a", "a", "b"]));
}

#[test]
fn nested_values_have_no_order() {
    let list = DataType::new_list(DataType::Int8, true);
    assert!(Format::new(&[field("x", list, true)]).unwrap_err().message.contains("can't be compared"));
}

#[test]
fn mistakes_are_told_together() {
    let mut mistakes = Mistakes::new();
    assert_eq!(mistakes.take(Ok(1)), Some(1));
    mistakes.add(Problem::at("/a", "no `a`"));
    mistakes.take::<()>(Err(Problem::at("/b", "no `b`").help("take `c`")));
    let problem = mistakes.check().unwrap_err();
    assert_eq!(problem.config_path.as_deref(), Some("/a"));
    assert_eq!(problem.message, "no `a`\nalso at `/b`: no `b` (take `c`)");
    assert!(Mistakes::new().check().is_ok());
}

/// Rows of dictionaries with keys of 8 bits: a hundred values from `first` on.
fn coded(first: i32) -> ArrayRef {
    let values = Float64Array::from_iter_values((first..first + 100).map(f64::from));
    Arc::new(DictionaryArray::<Int8Type>::new(Int8Array::from_iter_values(0..100), Arc::new(values)))
}

#[test]
fn dictionaries_that_are_picked_from_become_one() {
    let lists = |column: ArrayRef| -> ArrayRef {
        let item = field("item", column.data_type().clone(), true);
        Arc::new(ListArray::new(item, flowc_sdk::arrow::buffer::OffsetBuffer::from_lengths([1; 100]), column, None))
    };
    let numbers = |column: &ArrayRef| plain(column).unwrap().as_primitive::<Float64Type>().values().to_vec();
    let columns: Vec<ArrayRef> = (0..4).map(|part| coded(part * 9)).collect();
    let picks: Vec<(u32, u32)> = (0..100).flat_map(|row| (0..4).map(move |part| (part, row))).collect();
    let due: Vec<f64> = picks.iter().map(|&(part, row)| f64::from(part * 9 + row)).collect();
    let picked = gather(&columns, &picks).unwrap();
    assert_eq!((numbers(&picked), picked.data_type()), (due.clone(), columns[0].data_type()));
    assert_eq!(picked.as_dictionary::<Int8Type>().values().len(), 127);
    let joined = joined(&columns).unwrap();
    let due_joined: Vec<f64> = (0..4).flat_map(|part| (0..100).map(move |row| f64::from(part * 9 + row))).collect();
    assert_eq!((numbers(&joined), joined.data_type()), (due_joined, columns[0].data_type()));
    let nested = gather(&columns.into_iter().map(lists).collect::<Vec<_>>(), &picks).unwrap();
    assert_eq!(numbers(nested.as_list::<i32>().values()), due);
    let problem = gather(&[coded(0), coded(29)], &[(0, 0), (1, 0)]).unwrap_err();
    assert!(problem.message.starts_with("129 different values are more than the keys of Dictionary(Int8, Float64)"));
}

/// The key of a row.
type KeyOf<'f> = Box<dyn Fn(i64) -> i64 + 'f>;

#[test]
fn keys_that_lie_close_together_and_others_are_numbered_as_they_come() {
    let spread = |number: i64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64);
    let all: [(&str, KeyOf<'_>); 6] = [
        ("close", Box::new(|row| spread(row).rem_euclid(1000) - 500)),
        ("ascending", Box::new(|row| row)),
        ("descending", Box::new(|row| -row)),
        ("far", Box::new(spread)),
        ("close, then far", Box::new(move |row| if row < 20_000 { row % 10 } else { spread(row % 5000) })),
        (
            "far at first, then many close",
            Box::new(move |row| if row < 10 { row * 100_000 } else { row * 7 % 400_000 }),
        ),
    ];
    for (name, key) in &all {
        for with_nulls in [false, true] {
            let of = |row: i64| (!with_nulls || row % 11 != 3).then(|| key(row));
            let field = field("key", DataType::Int64, with_nulls);
            let mut groups = Grouper::new(&[field]).unwrap();
            let mut due: Vec<Option<i64>> = Vec::new();
            let mut known = std::collections::HashMap::new();
            for start in (0..60_000).step_by(3000) {
                let keys: Vec<Option<i64>> = (start..start + 3000).map(of).collect();
                let column: ArrayRef = Arc::new(Int64Array::from(keys.clone()));
                let numbers = groups.numbers(&[column], keys.len()).unwrap();
                for (key, number) in keys.into_iter().zip(numbers) {
                    let due = *known.entry(key).or_insert_with(|| {
                        due.push(key);
                        due.len() as u32 - 1
                    });
                    assert_eq!(number, due, "{name}, nulls: {with_nulls}, key {key:?}");
                }
            }
            assert_eq!(groups.len(), due.len());
            let sorted = groups.sorted();
            let keys = groups.columns(&sorted).unwrap();
            due.sort_unstable();
            let found: Vec<Option<i64>> = keys[0].as_primitive::<Int64Type>().iter().collect();
            assert_eq!(found, due, "{name}, nulls: {with_nulls}");
        }
    }
}
