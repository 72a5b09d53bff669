//! A partial of rows and what the partials of any parts of these rows are merged to are the same, bit by bit: flowc may make either,
//! and keeps both under the same key.

use super::*;

/// Makes a column of a type.
type Make = fn(&DataType, &[Option<u8>]) -> ArrayRef;

/// Every type that an order is known of, with a maker of columns of it from small numbers, the odd ones of which stand for values below zero.
fn types() -> Vec<(DataType, Make)> {
    let (utc, micro) = (Some("UTC".into()), TimeUnit::Microsecond);
    let mut types: Vec<(DataType, Make)> = vec![
        (DataType::Int8, numbers::<Int8Type>),
        (DataType::Int16, numbers::<Int16Type>),
        (DataType::Int32, numbers::<Int32Type>),
        (DataType::Int64, numbers::<Int64Type>),
        (DataType::UInt8, numbers::<UInt8Type>),
        (DataType::UInt16, numbers::<UInt16Type>),
        (DataType::UInt32, numbers::<UInt32Type>),
        (DataType::UInt64, numbers::<UInt64Type>),
        (DataType::Float16, numbers::<Float16Type>),
        (DataType::Float32, numbers::<Float32Type>),
        (DataType::Float64, numbers::<Float64Type>),
        (DataType::Decimal32(9, 2), numbers::<Decimal32Type>),
        (DataType::Decimal64(18, -2), numbers::<Decimal64Type>),
        (DataType::Decimal128(38, 10), numbers::<Decimal128Type>),
        (DataType::Decimal256(76, 0), numbers::<Decimal256Type>),
        (DataType::Date32, numbers::<Date32Type>),
        (DataType::Date64, |_, codes| {
            Arc::new(valid(codes, |code| (i64::from(code) - 50) * 86_400_000).collect::<Date64Array>())
        }),
        (DataType::Time32(TimeUnit::Second), numbers::<Time32SecondType>),
        (DataType::Time32(TimeUnit::Millisecond), numbers::<Time32MillisecondType>),
        (DataType::Time64(micro), numbers::<Time64MicrosecondType>),
        (DataType::Time64(TimeUnit::Nanosecond), numbers::<Time64NanosecondType>),
        (DataType::Timestamp(TimeUnit::Second, None), numbers::<TimestampSecondType>),
        (DataType::Timestamp(TimeUnit::Millisecond, None), numbers::<TimestampMillisecondType>),
        (DataType::Timestamp(micro, utc), numbers::<TimestampMicrosecondType>),
        (DataType::Timestamp(TimeUnit::Nanosecond, None), numbers::<TimestampNanosecondType>),
        (DataType::Duration(TimeUnit::Second), numbers::<DurationSecondType>),
        (DataType::Duration(TimeUnit::Millisecond), numbers::<DurationMillisecondType>),
        (DataType::Duration(micro), numbers::<DurationMicrosecondType>),
        (DataType::Duration(TimeUnit::Nanosecond), numbers::<DurationNanosecondType>),
        (DataType::Boolean, |_, codes| Arc::new(valid(codes, |code| code % 2 == 0).collect::<BooleanArray>())),
        (DataType::Utf8, |_, codes| Arc::new(valid(codes, text).collect::<StringArray>())),
        (DataType::LargeUtf8, |_, codes| Arc::new(valid(codes, text).collect::<LargeStringArray>())),
        (DataType::Utf8View, |_, codes| Arc::new(valid(codes, text).collect::<StringViewArray>())),
        (DataType::Binary, |_, codes| Arc::new(valid(codes, text).collect::<BinaryArray>())),
        (DataType::LargeBinary, |_, codes| Arc::new(valid(codes, text).collect::<LargeBinaryArray>())),
        (DataType::BinaryView, |_, codes| Arc::new(valid(codes, text).collect::<BinaryViewArray>())),
        (DataType::FixedSizeBinary(2), |_, codes| {
            let bytes = valid(codes, |code| [code % 3, code]);
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(bytes, 2).unwrap())
        }),
        (DataType::Null, |_, codes| Arc::new(NullArray::new(codes.len()))),
    ];
    for values in
        [DataType::Utf8, DataType::Int64, DataType::Float64, DataType::Decimal256(76, 0), DataType::BinaryView]
    {
        types.push((DataType::Dictionary(Box::new(DataType::UInt8), Box::new(values)), coded));
    }
    let runs = [("run_ends", DataType::Int32, false), ("values", DataType::Utf8, true)];
    let [ends, values] = runs.map(|(name, data_type, nullable)| field(name, data_type, nullable));
    types.push((DataType::RunEndEncoded(ends, values), |_, codes| {
        let ends = Int32Array::from_iter_values(1..=codes.len() as i32);
        Arc::new(RunArray::try_new(&ends, &valid(codes, text).collect::<StringArray>()).unwrap())
    }));
    types
}

fn valid<T>(codes: &[Option<u8>], value: impl Fn(u8) -> T) -> impl Iterator<Item = Option<T>> {
    codes.iter().map(move |code| code.map(&value))
}

fn text(code: u8) -> String {
    "x".repeat(usize::from(code % 40)) + &code.to_string()
}

/// Zeros of both signs and NaN are among floats, and the least and the greatest among all.
fn numbers<T: ArrowPrimitiveType>(data_type: &DataType, codes: &[Option<u8>]) -> ArrayRef {
    let value = |code: u8| {
        let magnitude = T::Native::usize_as(usize::from(code / 2));
        match (code, code % 2, data_type.is_floating()) {
            (7, _, true) => T::Native::ZERO.div_wrapping(T::Native::ZERO),
            (9, _, true) => T::Native::ONE.div_wrapping(T::Native::ZERO),
            (8, ..) if data_type.is_integer() => T::Native::MIN_TOTAL_ORDER,
            (10, ..) if data_type.is_integer() => T::Native::MAX_TOTAL_ORDER,
            (_, 1, true) => magnitude.neg_wrapping(),
            // A time of the day is not below zero.
            (_, 1, false) if !matches!(data_type, DataType::Time32(_) | DataType::Time64(_)) => {
                T::Native::ZERO.sub_wrapping(magnitude)
            }
            _ => magnitude,
        }
    };
    let column: PrimitiveArray<T> = valid(codes, value).collect();
    Arc::new(column.with_data_type(data_type.clone()))
}

/// Dictionaries with values that come twice, and with one that is null.
fn coded(data_type: &DataType, codes: &[Option<u8>]) -> ArrayRef {
    let DataType::Dictionary(_, of) = data_type else { panic!("{data_type} is no dictionary") };
    let make = types().into_iter().find(|(other, _)| other == of.as_ref()).unwrap().1;
    let values: Vec<Option<u8>> = (0..255).map(|code| (code != 11).then_some(code / 2)).collect();
    let keys: UInt8Array = codes.iter().copied().collect();
    Arc::new(DictionaryArray::new(keys, make(of, &values)))
}

/// Rows with a column of every type, the names of which are numbers, and with many keys and few.
fn rows_of_all_types(noise: &mut Noise, count: usize) -> RecordBatch {
    let mut codes = |most: u64| -> Vec<Option<u8>> {
        (0..count).map(|_| noise.maybe(|noise| (noise.next() % most) as u8)).collect()
    };
    let mut columns: Vec<(String, ArrayRef, bool)> = vec![
        ("few".to_owned(), numbers::<Int16Type>(&DataType::Int16, &codes(4)), true),
        ("many".to_owned(), numbers::<UInt32Type>(&DataType::UInt32, &codes(200)), true),
    ];
    for (at, (data_type, make)) in types().iter().enumerate() {
        let most = if at % 2 == 0 { 14 } else { 254 };
        columns.push((at.to_string(), make(data_type, &codes(most)), true));
    }
    // A column without nulls is held in another way.
    let all: Vec<Option<u8>> = codes(30).iter().map(|code| Some(code.unwrap_or(3))).collect();
    columns.push(("whole".to_owned(), numbers::<Int64Type>(&DataType::Int64, &all), false));
    let column = |(name, column, nullable): &(String, ArrayRef, bool)| (name.clone(), column.clone(), *nullable);
    RecordBatch::try_from_iter_with_nullable(columns.iter().map(column)).unwrap()
}

/// All that is computed of one column.
fn of_column(name: &str, data_type: &DataType) -> Vec<Value> {
    let mut compute: Vec<Value> = ["count", "count-distinct", "approx-count-distinct", "min", "max"]
        .iter()
        .map(|op| json!({"op": op, "column": name}))
        .collect();
    for (column, by) in [(name, "few"), ("few", name), (name, "whole"), ("whole", name)] {
        for op in ["first", "last", "top", "bottom"] {
            let mut item = json!({"op": op, "column": column, "by": by, "as": format!("{op} {column} {by}")});
            if matches!(op, "top" | "bottom") {
                item["k"] = json!(3);
            }
            compute.push(item);
        }
    }
    compute.push(json!({"op": "top", "column": name, "k": 2, "as": "greatest"}));
    compute.push(json!({"op": "bottom", "column": name, "k": 300, "as": "all"}));
    if crate::numbers::Kind::of(data_type).is_some() {
        compute.extend(["sum", "mean", "variance", "stddev"].map(|op| json!({"op": op, "column": name})));
        compute.push(json!({"op": "approx-quantile", "column": name, "at": 0.5}));
    }
    compute
}

/// Rows in parts of random lengths, some of which are empty.
fn cut(noise: &mut Noise, rows: &RecordBatch, most: u64) -> Vec<RecordBatch> {
    let (mut parts, mut start) = (Vec::new(), 0);
    while start < rows.num_rows() {
        let length = ((noise.next() >> 20) % (most + 1)).min((rows.num_rows() - start) as u64) as usize;
        parts.push(rows.slice(start, length));
        start += length;
    }
    parts
}

/// Panics unless the partial of the rows is the same however they are cut into batches, and into parts whose partials are merged.
fn assert_one_partial(noise: &mut Noise, config: &Value, rows: &RecordBatch, about: &str) {
    let whole = testing::partial::<Combining<Aggregate>>(config, &[vec![rows.clone()]]).unwrap();
    let partial = |lists: &[Vec<RecordBatch>]| testing::partial::<Combining<Aggregate>>(config, lists).unwrap();
    for most in [9, rows.num_rows() as u64 / 2] {
        // Floats are compared by their bits.
        assert!(partial(&[cut(noise, rows, most)]) == whole, "{about}: in batches of up to {most}");
        let parts: Vec<_> = cut(noise, rows, most).into_iter().map(|part| cut(noise, &part, 40)).collect();
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        assert!(partial(&parts) == whole, "{about}: merged from parts of up to {most}");
    }
}

#[test]
fn every_function_of_every_type_has_one_partial_of_the_same_rows() {
    let mut noise = Noise(11);
    let rows = rows_of_all_types(&mut noise, 150);
    for (at, (data_type, _)) in types().iter().enumerate() {
        let name = at.to_string();
        let compute = of_column(&name, data_type);
        for by in [vec![], vec!["few"], vec!["many", "few"], vec!["whole"]] {
            let config = json!({"by": by, "compute": compute});
            assert_one_partial(&mut noise, &config, &rows, &format!("{data_type} by {by:?}"));
        }
    }
}

#[test]
fn keys_of_every_type_have_one_partial_of_the_same_rows() {
    let mut noise = Noise(12);
    let rows = rows_of_all_types(&mut noise, 150);
    let compute = [json!({"op": "count"}), json!({"op": "sum", "column": "whole"})];
    for (at, (data_type, _)) in types().iter().enumerate() {
        let name = at.to_string();
        let other = ((at + 7) % types().len()).to_string();
        for by in [vec![&name], vec![&other, &name]] {
            let config = json!({"by": by, "compute": compute});
            assert_one_partial(&mut noise, &config, &rows, &format!("by {data_type}, columns {by:?}"));
        }
    }
}

#[test]
fn odd_floats_and_large_numbers_have_one_partial_of_the_same_rows() {
    let mut noise = Noise(13);
    let rows = super::rows(200);
    for by in [json!([]), json!(["key", "kind"]), json!(["x"]), json!(["f", "d"]), json!(["big"]), json!(["u"])] {
        let config = json!({"by": by, "compute": everything()});
        assert_one_partial(&mut noise, &config, &rows, &format!("by {by}"));
    }
}

#[test]
fn sketches_and_tables_that_outgrow_their_first_form_have_one_partial_of_the_same_rows() {
    let mut noise = Noise(14);
    let count = 60_000;
    let mut column = |spread: u64| -> ArrayRef {
        Arc::new(
            (0..count).map(|_| noise.maybe(|noise| (noise.next() >> 8) as i64 % spread as i64)).collect::<Int64Array>(),
        )
    };
    let columns = [("far", column(1 << 50), true), ("near", column(20_000), true), ("n", column(1 << 54), true)];
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let ops = ["approx-count-distinct", "count-distinct", "sum", "variance", "min", "max"];
    let mut compute: Vec<Value> = ops.iter().map(|op| json!({"op": op, "column": "n"})).collect();
    compute.push(json!({"op": "approx-quantile", "column": "n", "at": 0.5}));
    for by in [vec![], vec!["far"], vec!["near"], vec!["far", "near"]] {
        let config = json!({"by": by, "compute": compute});
        let whole = testing::partial::<Combining<Aggregate>>(&config, &[vec![rows.clone()]]).unwrap();
        let parts: Vec<_> =
            cut(&mut noise, &rows, 20_000).into_iter().map(|part| cut(&mut noise, &part, 9000)).collect();
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        assert!(testing::partial::<Combining<Aggregate>>(&config, &parts).unwrap() == whole, "by {by:?}");
    }
}
