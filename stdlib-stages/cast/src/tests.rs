//! `cast@1` run natively, by the rules of the host.

use flowc_sdk::arrow::array::*;
use flowc_sdk::arrow::compute::cast as arrow_cast;
use flowc_sdk::arrow::datatypes::*;
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;

fn run(column: ArrayRef, mut cast: Value) -> Result<ArrayRef> {
    cast["column"] = json!("x");
    let batch = RecordBatch::try_from_iter_with_nullable([("x", column, true)]).unwrap();
    let batch = testing::run::<Casting>(&json!({"cast": [cast]}), &[vec![batch]])?.remove(0);
    Ok(batch.column(0).clone())
}

fn texts(texts: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn as_text(column: ArrayRef) -> Vec<Option<String>> {
    run(column, json!({"to": "Utf8"})).unwrap().as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

/// What becomes of one text; the message if nothing does.
fn of_text(text: &str, to: &str) -> std::result::Result<String, String> {
    let column = run(texts(&[text]), json!({"to": to})).map_err(|problem| problem.message)?;
    Ok(as_text(column).remove(0).unwrap())
}

#[test]
fn texts_become_values_and_come_back() {
    for (text, to, back) in [
        ("12", "Int8", "12"),
        ("-7", "Int64", "-7"),
        ("+7.00", "UInt16", "7"),
        ("1e3", "Int32", "1000"),
        ("0.1", "Float64", "0.1"),
        ("inf", "Float32", "inf"),
        ("TRUE", "Boolean", "true"),
        ("-12.5", "Decimal128(10, 2)", "-12.50"),
        ("0.05", "Decimal32(9, 3)", "0.050"),
        ("1200", "Decimal64(10, -2)", "1200"),
        ("2024-02-29", "Date32", "2024-02-29"),
        ("1969-12-31", "Date64", "1969-12-31"),
        ("23:59:59.5", "Time32(ms)", "23:59:59.500"),
        ("00:00", "Time64(ns)", "00:00:00"),
        ("2024-02-29 12:00:00.25", "Timestamp(us)", "2024-02-29T12:00:00.250"),
        ("2024-02-29T12:00:00+02:00", "Timestamp(s, \"UTC\")", "2024-02-29T10:00:00Z"),
        ("ä", "Binary", "ä"),
    ] {
        assert_eq!(of_text(text, to).as_deref(), Ok(back), "{text} as {to}");
    }
}

#[test]
fn what_does_not_fit_is_told_with_the_value() {
    for (text, to, told) in [
        ("128", "Int8", "column `x`: \"128\" is out of the range of Int8"),
        ("-1", "UInt64", "column `x`: \"-1\" is out of the range of UInt64"),
        ("1.5", "Int64", "column `x`: \"1.5\" has more digits than Int64 has room for"),
        ("", "Int64", "column `x`: \"\" is no Int64"),
        (" 1", "Int64", "column `x`: \" 1\" is no Int64"),
        ("yes", "Boolean", "column `x`: \"yes\" is no Boolean"),
        ("0.005", "Decimal128(10, 2)", "column `x`: \"0.005\" has more digits than Decimal128(10, 2) has room for"),
        ("1000", "Decimal32(3, 0)", "column `x`: \"1000\" is out of the range of Decimal32(3, 0)"),
        ("2023-02-29", "Date32", "column `x`: \"2023-02-29\" is no Date32"),
        ("24:00", "Time32(s)", "column `x`: \"24:00\" is no Time32(s)"),
        ("12:00:00.5", "Time32(s)", "column `x`: \"12:00:00.5\" has more digits than Time32(s) has room for"),
        ("1e400", "Int64", "column `x`: \"1e400\" is out of the range of Int64"),
        ("1e-400", "Int64", "column `x`: \"1e-400\" has more digits than Int64 has room for"),
        ("1e400", "Float64", "column `x`: \"1e400\" is out of the range of Float64"),
        ("-1e39", "Float32", "column `x`: \"-1e39\" is out of the range of Float32"),
        ("1e5", "Float16", "column `x`: \"1e5\" is out of the range of Float16"),
        ("9999-01-01", "Timestamp(ns)", "column `x`: \"9999-01-01\" is out of the range of Timestamp(ns)"),
    ] {
        assert_eq!(of_text(text, to), Err(told.to_owned()), "{text} as {to}");
    }
}

#[test]
fn digits_are_rounded_and_misfits_are_null_where_that_is_said() {
    let rounded = |column: ArrayRef, to: &str| as_text(run(column, json!({"to": to, "round": true})).unwrap());
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![2.5, -2.5, 0.49]));
    assert_eq!(rounded(floats.clone(), "Int8").into_iter().flatten().collect::<Vec<_>>(), ["3", "-3", "0"]);
    assert_eq!(rounded(floats, "Decimal128(5, 1)").into_iter().flatten().collect::<Vec<_>>(), ["2.5", "-2.5", "0.5"]);
    let tiny: ArrayRef = Arc::new(Float64Array::from(vec![1e-130, -5e-324]));
    assert_eq!(rounded(tiny, "Decimal128(5, 1)").into_iter().flatten().collect::<Vec<_>>(), ["0.0", "0.0"]);
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1999, -1]));
    let times: Vec<_> = rounded(times, "Timestamp(s)").into_iter().flatten().collect();
    assert_eq!(times, ["1970-01-01T00:00:01", "1969-12-31T23:59:59"]);
    let column = run(texts(&["1", "x", "1.5"]), json!({"to": "Int64", "on-error": "null"})).unwrap();
    assert_eq!(column.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(1), None, None]);
    let odd: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, f64::INFINITY]));
    assert_eq!(run(odd, json!({"to": "Int64", "on-error": "null"})).unwrap().null_count(), 2);
}

/// Whole numbers beside the middle of two floats of 32 bits, where a float of 64 bits in between would round to the middle.
fn beside_middles() -> Vec<i64> {
    let mut noise = 1_u64;
    let mut number = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (mantissa, shift) = ((noise >> 41) | 1 << 23, 32 + noise % 8);
        ((mantissa << shift) + (1 << (shift - 1))) as i64
    };
    (0..200).flat_map(|_| [number() - 1, number(), number() + 1]).collect()
}

#[test]
fn floats_are_the_nearest_ones() {
    let numbers = beside_middles();
    let spelled: Vec<String> = numbers.iter().map(i64::to_string).collect();
    let due: Vec<f32> = spelled.iter().map(|text| text.parse().unwrap()).collect();
    let whole: ArrayRef = Arc::new(Int64Array::from(numbers));
    let decimal = run(whole.clone(), json!({"to": "Decimal128(38, 5)"})).unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(spelled));
    for column in [whole, decimal, text] {
        let floats = run(column.clone(), json!({"to": "Float32"})).unwrap();
        assert_eq!(floats.as_primitive::<Float32Type>().values().to_vec(), due, "{}", column.data_type());
    }
}

#[test]
fn floats_of_32_bits_have_digits_of_their_own() {
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![0.1, -2.5e-7, f32::MAX, f32::INFINITY]));
    assert_eq!(
        as_text(floats.clone()).into_iter().flatten().collect::<Vec<_>>(),
        ["0.1", "-2.5e-7", "3.4028235e38", "inf"]
    );
    let decimals = run(floats.slice(0, 1), json!({"to": "Decimal128(3, 1)"})).unwrap();
    assert_eq!(decimals.as_primitive::<Decimal128Type>().value(0), 1);
    assert_eq!(
        run(floats.slice(0, 1), json!({"to": "Float64"})).unwrap().as_primitive::<Float64Type>().value(0),
        f64::from(0.1_f32)
    );
}

#[test]
fn values_are_those_that_arrow_gives() {
    use DataType::*;
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![Some(-3), None, Some(0), Some(100), Some(7)]));
    let numbers =
        [Int8, Int16, Int32, Int64, Float16, Float32, Float64, Decimal32(9, 2), Decimal64(18, 2), Decimal128(38, 2)];
    for from in &numbers {
        let column = arrow_cast(&whole, from).unwrap();
        for to in numbers.iter().chain(&[Utf8, LargeUtf8, Utf8View, Boolean]) {
            // Floats have a point in text, as they have in JSON.
            let is_odd = (from.is_floating() && flowc_sdk::is_text(to)) || (from.is_decimal() && *to == Boolean);
            if !is_odd {
                let due = arrow_cast(&column, to).unwrap();
                assert_eq!(&run(column.clone(), json!({"to": to.to_string()})).unwrap(), &due, "{from} as {to}");
            }
        }
    }
    let times: ArrayRef = Arc::new(Int64Array::from(vec![Some(-86_400), None, Some(0), Some(1_709_164_800)]));
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        for zone in [None, Some("+00:00".into())] {
            let column = arrow_cast(
                &arrow_cast(&times, &Timestamp(TimeUnit::Second, zone.clone())).unwrap(),
                &Timestamp(unit, zone),
            )
            .unwrap();
            for to in [Date32, Date64, Timestamp(TimeUnit::Millisecond, None)] {
                let due = arrow_cast(&column, &to).unwrap();
                assert_eq!(
                    &run(column.clone(), json!({"to": to.to_string()})).unwrap(),
                    &due,
                    "{} as {to}",
                    column.data_type()
                );
            }
        }
    }
    let coded: ArrayRef = Arc::new(vec![Some("5"), None, Some("6")].into_iter().collect::<DictionaryArray<Int8Type>>());
    let due = arrow_cast(&coded, &Int32).unwrap();
    assert_eq!(&run(coded, json!({"to": "Int32"})).unwrap(), &due);
}

#[test]
fn columns_keep_their_places_and_new_ones_come_behind_them() {
    let columns = [("a", texts(&["1"])), ("b", texts(&["2"])), ("c", texts(&["3"]))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let config = json!({"cast": [
        {"column": "c", "to": "Int8"}, {"column": "a", "to": "Int64", "as": "d"}, {"column": "a", "to": "Float64"},
    ]});
    let batch = testing::run::<Casting>(&config, &[vec![batch]]).unwrap().remove(0);
    let types: Vec<_> = batch.schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Float64, DataType::Utf8, DataType::Int8, DataType::Int64]);
    assert_eq!(batch.column(2).as_primitive::<Int8Type>().value(0), 3);
}

#[test]
fn all_mistakes_are_told() {
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int8Type, _, _>([Some(vec![Some(1)])]));
    let at: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![0]));
    let truth: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
    let batch = RecordBatch::try_from_iter([("list", list), ("b", truth), ("at", at)]).unwrap();
    let config = json!({"cast": [
        {"column": "list", "to": "Utf8"}, {"column": "b", "to": "Int99"}, {"column": "b", "to": "Date32", "as": "d"},
        {"column": "c", "to": "Int8", "as": "b"}, {"column": "at", "to": "Int64"},
    ]});
    let problem = testing::describe::<Casting>(&config, &[batch.schema()]).unwrap_err();
    let lines: Vec<&str> = problem.message.lines().collect();
    assert_eq!(lines[0], "column `list` is List(Int8), which does not become Utf8");
    assert!(lines[1].starts_with("also at `/cast/1/to`: `Int99` is no type (one of Arrow's types: Boolean, "));
    assert_eq!(lines[2], "also at `/cast/2/to`: column `b` is Boolean, which does not become Date32");
    assert_eq!(lines[3], "also at `/cast/3/as`: the output would have two columns `b`");
    assert!(lines[4].starts_with("also at `/cast/3/column`: the input has no column `c`"));
    assert_eq!(lines[5], "also at `/cast/4/to`: column `at` is Timestamp(ms), which does not become Int64");
}
