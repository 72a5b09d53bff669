//! `filter@1` run natively, by the rules of the host.

use flowc_sdk::arrow::array::{
    Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int64Array, TimestampMillisecondArray, UInt8Array,
    UInt64Array,
};
use flowc_sdk::arrow::compute::cast;
use flowc_sdk::arrow::datatypes::{Float64Type, Int32Type, TimeUnit, UInt64Type};
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;
use crate::condition::Op;

/// Five rows; `row` tells them apart.
fn rows() -> RecordBatch {
    let columns: [(&str, ArrayRef); 8] = [
        ("row", Arc::new(UInt64Array::from(vec![0, 1, 2, 3, 4]))),
        (
            "big",
            Arc::new(UInt64Array::from(vec![
                None,
                Some(9_007_199_254_740_993),
                Some(9_007_199_254_740_992),
                None,
                Some(u64::MAX),
            ])),
        ),
        ("small", Arc::new(UInt8Array::from(vec![0, 1, 2, 3, 255]))),
        ("x", Arc::new(Float64Array::from(vec![Some(-1.5), Some(0.0), Some(2.5), Some(f64::INFINITY), None]))),
        ("name", Arc::new(StringArray::from(vec![Some("ann"), Some("bob"), None, Some("anna"), Some("")]))),
        ("kind", Arc::new(vec!["a", "b", "a", "b", "c"].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 2, 3, 4]))),
        (
            "price",
            Arc::new(Decimal128Array::from(vec![100, 150, 200, 250, 300]).with_precision_and_scale(10, 2).unwrap()),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn run(conditions: Value) -> Result<Vec<u64>> {
    let batch = testing::run::<Filter<Where>>(&json!({"where": conditions}), &[vec![rows()]])?.remove(0);
    Ok(batch.column(0).as_primitive::<UInt64Type>().values().to_vec())
}

fn kept(column: &str, op: &str, value: Value) -> Vec<u64> {
    run(json!([{"column": column, "op": op, "value": value}])).unwrap()
}

#[test]
fn a_float_is_the_one_that_the_config_says() {
    let mut bits = 1_u64;
    for _ in 0..200 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let float = f64::from_bits(bits & !(1 << 62));
        let column: ArrayRef = Arc::new(Float64Array::from(vec![float.next_down(), float, float.next_up()]));
        let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
        let config = json!({"where": [{"column": "x", "op": "=", "value": float}]});
        let kept = testing::run::<Filter<Where>>(&config, &[vec![batch]]).unwrap().remove(0);
        assert_eq!(kept.column(0).as_primitive::<Float64Type>().values().to_vec(), [float]);
    }
}

#[test]
fn values_are_compared_by_the_columns_type() {
    assert_eq!(kept("small", ">", json!(1)), [2, 3, 4]);
    assert_eq!(kept("big", "=", json!(9_007_199_254_740_993_u64)), [1], "whole numbers are exact");
    assert_eq!(kept("x", "<=", json!(0)), [0, 1]);
    assert_eq!(kept("name", "!=", json!("bob")), [0, 3, 4], "null is neither equal nor unequal");
    assert_eq!(kept("kind", "in", json!(["a", "c"])), [0, 2, 4]);
    assert_eq!(kept("kind", "in", json!([])), Vec::<u64>::new());
    assert_eq!(kept("day", ">=", json!("1970-01-04")), [3, 4]);
    assert_eq!(kept("price", "<", json!(2)), [0, 1]);
    assert_eq!(kept("price", "=", json!("2.50")), [3]);
}

#[test]
fn zeros_are_equal_and_nan_is_above_all() {
    let below = -f64::NAN;
    let floats = Float64Array::from(vec![Some(-0.0), Some(0.0), Some(-1.5), Some(f64::NAN), Some(below), None]);
    let columns: [(&str, ArrayRef); 3] = [
        ("row", Arc::new(UInt64Array::from_iter_values(0..6))),
        ("x", Arc::new(floats.clone())),
        ("y", Arc::new(flowc_sdk::arrow::compute::cast(&floats, &DataType::Float32).unwrap())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    for column in ["x", "y"] {
        for zero in [json!(0), json!(-0.0)] {
            let kept = |op: &str, value: &Value| {
                let config = json!({"where": [{"column": column, "op": op, "value": value}]});
                let kept = testing::run::<Filter<Where>>(&config, &[vec![batch.clone()]]).unwrap().remove(0);
                kept.column(0).as_primitive::<UInt64Type>().values().to_vec()
            };
            assert_eq!(kept("<", &zero), [2]);
            assert_eq!(kept("<=", &zero), [0, 1, 2]);
            assert_eq!(kept("=", &zero), [0, 1]);
            assert_eq!(kept("!=", &zero), [2, 3, 4]);
            assert_eq!(kept(">=", &zero), [0, 1, 3, 4]);
            assert_eq!(kept(">", &zero), [3, 4]);
            assert_eq!(kept("in", &json!([zero, -1.5])), [0, 1, 2]);
        }
    }
}

#[test]
fn text_is_searched() {
    assert_eq!(kept("name", "starts-with", json!("ann")), [0, 3]);
    assert_eq!(kept("name", "contains", json!("nn")), [0, 3]);
    assert_eq!(kept("name", "ends-with", json!("b")), [1]);
    assert_eq!(kept("kind", "contains", json!("b")), [1, 3]);
}

#[test]
fn nulls_are_found() {
    assert_eq!(run(json!([{"column": "name", "op": "is-null"}])).unwrap(), [2]);
    assert_eq!(run(json!([{"column": "big", "op": "not-null"}])).unwrap(), [1, 2, 4]);
}

#[test]
fn conditions_are_combined() {
    let a = json!({"column": "small", "op": "<", "value": 3});
    let b = json!({"column": "name", "op": "=", "value": "bob"});
    assert_eq!(run(json!([a, b])).unwrap(), [1]);
    assert_eq!(run(json!([{"any": [{"column": "small", "op": "=", "value": 255}, b]}])).unwrap(), [1, 4]);
    assert_eq!(run(json!([{"not": {"all": [a, b]}}])).unwrap(), [0, 3, 4], "not of null is null");
}

#[test]
fn time_stamps_take_text_in_utc_or_with_an_offset() {
    let times = TimestampMillisecondArray::from(vec![0, 3_600_000]).with_timezone("+01:00");
    let batch = RecordBatch::try_from_iter([("t", Arc::new(times) as ArrayRef)]).unwrap();
    for text in ["1970-01-01T01:00:00", "1970-01-01T02:00:00+01:00"] {
        let config = json!({"where": [{"column": "t", "op": ">=", "value": text}]});
        assert_eq!(testing::run::<Filter<Where>>(&config, &[vec![batch.clone()]]).unwrap()[0].num_rows(), 1);
    }
}

#[test]
fn mistakes_are_blamed_on_their_place() {
    let path = |condition: Value| run(json!([condition])).unwrap_err().config_path.unwrap();
    assert_eq!(path(json!({"column": "smal", "op": "=", "value": 1})), "/where/0/column");
    assert_eq!(path(json!({"column": "small", "op": "=", "value": 256})), "/where/0/value");
    assert_eq!(path(json!({"column": "small", "op": "=", "value": 1.5})), "/where/0/value");
    assert_eq!(path(json!({"column": "small", "op": "="})), "/where/0/value");
    assert_eq!(path(json!({"column": "small", "op": "is-null", "value": 1})), "/where/0/value");
    assert_eq!(path(json!({"column": "small", "op": "contains", "value": "1"})), "/where/0/column");
    assert_eq!(path(json!({"column": "price", "op": "=", "value": 1.005})), "/where/0/value");
    assert_eq!(path(json!({"column": "day", "op": "=", "value": "never"})), "/where/0/value");
    assert_eq!(path(json!({"not": {"any": [{"op": "="}, {}]}})), "/where/0/not/any/0");
    assert_eq!(path(json!({"any": [{"all": [{}, {}]}]})), "/where/0/any", "an `and` that looks like an `or`");
    assert_eq!(path(json!({"column": "small", "op": "~", "value": 1})), "/where/0/op");
    assert_eq!(path(json!({"not": {"all": []}})), "/where/0/not/all");
    let problem = run(json!([])).unwrap_err();
    assert_eq!(problem.config_path.unwrap(), "/where", "it would keep every row");
}

#[test]
fn only_the_columns_of_the_conditions_are_read() {
    let condition = |column| json!({"column": column, "op": "=", "value": 1});
    let config = json!({"where": [condition("x"), condition("small"), condition("x")]});
    let description = testing::describe::<Filter<Where>>(&config, &[rows().schema()]).unwrap();
    assert_eq!(description.inputs[0].reads, [2, 3]);
}

#[test]
fn a_value_of_another_type_is_refused_with_what_to_write() {
    for (column, value, help) in [
        ("name", json!(5), "write it as text, `\"5\"`, or declare the column as Int64 in the source's `schema`"),
        (
            "name",
            json!(true),
            "write it as text, `\"true\"`, or declare the column as Boolean in the source's `schema`",
        ),
        ("name", json!(1.5), "write it as text, `\"1.5\"`, or declare the column as Float64 in the source's `schema`"),
        (
            "small",
            json!("5"),
            "write a whole number, without quotes, or declare the column as Utf8 in the source's `schema`",
        ),
        (
            "big",
            json!(1.5),
            "write a whole number, without quotes, or declare the column as Float64 in the source's `schema`",
        ),
        ("x", json!("1.5"), "write a number, without quotes, or declare the column as Utf8 in the source's `schema`"),
        (
            "price",
            json!(false),
            "write a number, without quotes, or declare the column as Boolean in the source's `schema`",
        ),
        (
            "day",
            json!(20240229),
            "write a date as text, such as `\"2024-02-29\"`, or declare the column as Int64 in the source's `schema`",
        ),
    ] {
        let problem = run(json!([{"column": column, "op": "=", "value": value}])).unwrap_err();
        assert!(problem.message.contains("can't be compared with a column of type"), "{}", problem.message);
        assert_eq!(problem.help.as_deref(), Some(help), "{column}");
    }
}

/// A column of this type with a null and the ends of its range, from whole numbers or from text.
fn column_of(data_type: &DataType) -> ArrayRef {
    let texts =
        StringArray::from(vec![Some("b"), None, Some(""), Some("abc"), Some("ab"), Some("ä"), Some("a longer text")]);
    let numbers = Int64Array::from(vec![Some(2), None, Some(0), Some(1), Some(3), Some(99), Some(2)]);
    let below = Int64Array::from(vec![Some(-2), None, Some(0), Some(1), Some(-3), Some(99), Some(-1)]);
    let plain = match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let source: ArrayRef = match plain {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Arc::new(texts),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 | DataType::Boolean => {
            Arc::new(numbers)
        }
        DataType::Time32(_) => return cast(&cast(&numbers, &DataType::Int32).unwrap(), data_type).unwrap(),
        DataType::Date32 => return cast(&cast(&below, &DataType::Int32).unwrap(), data_type).unwrap(),
        DataType::Time64(_) => Arc::new(numbers),
        _ => Arc::new(below),
    };
    cast(&source, data_type).unwrap()
}

#[test]
fn every_type_is_compared_as_arrow_compares_it() {
    use DataType::*;
    use flowc_sdk::arrow::array::{Datum, Scalar};
    use flowc_sdk::arrow::compute::kernels::{cmp, comparison};
    type Kernel = fn(&dyn Datum, &dyn Datum) -> std::result::Result<BooleanArray, flowc_sdk::arrow::error::ArrowError>;
    let mut types = vec![Boolean, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64];
    types.extend([Decimal32(9, 2), Decimal64(18, 2), Decimal128(38, 2), Decimal256(60, 2), Date32, Date64]);
    types.extend([TimeUnit::Second, TimeUnit::Millisecond].map(Time32));
    types.extend([TimeUnit::Microsecond, TimeUnit::Nanosecond].map(Time64));
    types.extend([TimeUnit::Second, TimeUnit::Nanosecond].map(|unit| Timestamp(unit, None)));
    types.extend([Utf8, LargeUtf8, Utf8View]);
    types.extend([Utf8, Int64].map(|values| Dictionary(Box::new(Int16), Box::new(values))));
    let kernels: [(Op, Kernel); 6] = [
        (Op::Equal, cmp::eq),
        (Op::NotEqual, cmp::neq),
        (Op::Less, cmp::lt),
        (Op::LessOrEqual, cmp::lt_eq),
        (Op::Greater, cmp::gt),
        (Op::GreaterOrEqual, cmp::gt_eq),
    ];
    let of_text: [(Op, Kernel); 3] = [
        (Op::Contains, comparison::contains),
        (Op::StartsWith, comparison::starts_with),
        (Op::EndsWith, comparison::ends_with),
    ];
    for data_type in types {
        let values = column_of(&data_type);
        let plain = cast(
            &values,
            match &data_type {
                Dictionary(_, plain) => plain,
                other => other,
            },
        )
        .unwrap();
        let is_text = flowc_sdk::is_text(plain.data_type());
        for row in [0, 2, 3, 5] {
            let value = plain.slice(row, 1);
            for (op, kernel) in kernels.iter().chain(of_text.iter().filter(|_| is_text)) {
                for column in [values.clone(), values.slice(1, 5)] {
                    let expected = kernel(&column, &Scalar::new(&value)).unwrap();
                    assert_eq!(
                        compare::compare(&column, *op, &value).unwrap(),
                        expected,
                        "{data_type} {op:?} {value:?}"
                    );
                }
            }
        }
    }
}
