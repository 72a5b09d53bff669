//! `aggregate@1` run natively, by the rules of the host.

use flowc_sdk::arrow::array::*;
use flowc_sdk::arrow::datatypes::*;
use flowc_sdk::serde_json::{Value, json};
use flowc_sdk::testing;

use super::*;

mod partials;

fn run(config: &Value, segments: Vec<RecordBatch>) -> Result<RecordBatch> {
    Ok(testing::run::<Combining<Aggregate>>(config, &[segments])?.remove(0))
}

/// What one computation gives over one column without groups.
fn one(compute: Value, column: ArrayRef) -> Result<ArrayRef> {
    let batch = RecordBatch::try_from_iter_with_nullable([("x", column, true)]).unwrap();
    Ok(run(&json!({"compute": [compute]}), vec![batch])?.column(0).clone())
}

fn of_x(op: &str, column: ArrayRef) -> ArrayRef {
    one(json!({"op": op, "column": "x"}), column).unwrap()
}

fn floats(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn float(array: &ArrayRef) -> Option<f64> {
    let array = array.as_primitive::<Float64Type>();
    array.is_valid(0).then(|| array.value(0))
}

fn int(array: &ArrayRef) -> Option<i64> {
    let array = array.as_primitive::<Int64Type>();
    array.is_valid(0).then(|| array.value(0))
}

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 ^ (self.0 >> 33)
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.next().is_multiple_of(5)).then(|| value(self))
    }

    fn float(&mut self) -> f64 {
        match self.next() % 12 {
            0 => 0.0,
            1 => -0.0,
            2 => f64::NAN,
            3 => f64::INFINITY,
            4..7 => f64::from_bits(self.next() >> 2) * 1e-3,
            _ => (self.next() >> 11) as f64 * 1e-9 - 1e6,
        }
    }
}

/// Rows of all kinds of columns, with few keys.
fn rows(count: usize) -> RecordBatch {
    let mut noise = Noise(7);
    let mut column = |make: &mut dyn FnMut(&mut Noise) -> ArrayRef| make(&mut noise);
    let texts = ["", "a", "ab", "b\0", "b\0c", "ä"];
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "kind",
            column(&mut |noise| {
                let kinds = (0..count).map(|_| noise.maybe(|noise| texts[(noise.next() % 4) as usize]));
                Arc::new(kinds.collect::<DictionaryArray<Int8Type>>())
            }),
        ),
        (
            "key",
            column(&mut |noise| {
                Arc::new((0..count).map(|_| noise.maybe(|noise| (noise.next() % 3) as i16)).collect::<Int16Array>())
            }),
        ),
        (
            "n",
            column(&mut |noise| {
                Arc::new((0..count).map(|_| noise.maybe(|noise| noise.next() as i64 >> 20)).collect::<Int64Array>())
            }),
        ),
        (
            "u",
            column(&mut |noise| {
                Arc::new((0..count).map(|_| noise.maybe(|noise| noise.next() as u32)).collect::<UInt32Array>())
            }),
        ),
        ("x", column(&mut |noise| Arc::new((0..count).map(|_| noise.maybe(Noise::float)).collect::<Float64Array>()))),
        (
            "f",
            column(&mut |noise| {
                Arc::new((0..count).map(|_| noise.maybe(|noise| noise.float() as f32)).collect::<Float32Array>())
            }),
        ),
        (
            "d",
            column(&mut |noise| {
                let decimals = (0..count).map(|_| noise.maybe(|noise| i128::from(noise.next() as i64) << 40));
                Arc::new(decimals.collect::<Decimal128Array>().with_precision_and_scale(38, 4).unwrap())
            }),
        ),
        (
            "big",
            column(&mut |noise| {
                let decimals =
                    (0..count).map(|_| noise.maybe(|noise| i256::from_i128(i128::from(noise.next() as i64)) << 100));
                Arc::new(decimals.collect::<Decimal256Array>().with_precision_and_scale(76, -2).unwrap())
            }),
        ),
        (
            "t",
            column(&mut |noise| {
                Arc::new(
                    (0..count)
                        .map(|_| noise.maybe(|noise| texts[(noise.next() % 6) as usize]))
                        .collect::<StringViewArray>(),
                )
            }),
        ),
        (
            "at",
            column(&mut |noise| {
                Arc::new(
                    (0..count)
                        .map(|_| noise.maybe(|noise| (noise.next() % 50) as i64))
                        .collect::<TimestampSecondArray>()
                        .with_timezone("UTC"),
                )
            }),
        ),
        (
            "b",
            column(&mut |noise| {
                Arc::new((0..count).map(|_| noise.maybe(|noise| noise.next() % 2 == 0)).collect::<BooleanArray>())
            }),
        ),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap()
}

/// Every computation over every column that it takes.
fn everything() -> Value {
    let mut compute = vec![json!({"op": "count"})];
    for column in ["n", "u", "x", "f", "d", "big"] {
        for op in ["sum", "mean", "variance", "stddev"] {
            compute.push(json!({"op": op, "column": column}));
        }
        for at in [0.0, 0.3, 1.0] {
            compute.push(json!({"op": "approx-quantile", "column": column, "at": at, "as": format!("{column}-{at}")}));
        }
    }
    for column in ["kind", "n", "u", "x", "f", "d", "big", "t", "at", "b"] {
        for op in ["count", "count-distinct", "approx-count-distinct", "min", "max"] {
            compute.push(json!({"op": op, "column": column}));
        }
        for by in ["n", "at", "t", "x"] {
            for op in ["first", "last"] {
                compute.push(json!({"op": op, "column": column, "by": by, "as": format!("{op}-{column}-{by}")}));
            }
            for op in ["top", "bottom"] {
                compute
                    .push(json!({"op": op, "column": column, "by": by, "k": 3, "as": format!("{op}-{column}-{by}")}));
            }
        }
        compute.push(json!({"op": "top", "column": column, "k": 4, "as": format!("top-{column}")}));
    }
    Value::Array(compute)
}

#[test]
fn every_aggregate_is_the_same_over_all_cuts_and_orders_of_merging_bit_by_bit() {
    for by in [json!([]), json!(["key", "kind"]), json!(["x"]), json!(["big"])] {
        let config = json!({"by": by, "compute": everything()});
        for (count, size) in [(12, 1), (300, 40), (300, 150)] {
            let rows = rows(count);
            let whole = run(&config, vec![rows.clone()]).unwrap();
            let cut = |start: usize| rows.slice(start, size.min(count - start));
            let mut segments: Vec<RecordBatch> = (0..count).step_by(size).map(cut).collect();
            // Floats are compared by their bits.
            assert!(run(&config, segments.clone()).unwrap() == whole, "by {by}, cut every {size}");
            segments.reverse();
            assert!(run(&config, segments).unwrap() == whole, "by {by}, cut every {size}, in reverse");
        }
    }
}

#[test]
fn floats_are_summed_without_rounding() {
    assert_eq!(float(&of_x("sum", floats(&[1.0, 1e100, 1.0, -1e100]))), Some(2.0));
    assert_eq!(float(&of_x("mean", floats(&[1e308, 1e308]))), Some(1e308));
    assert_eq!(float(&of_x("variance", floats(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]))), Some(1.0));
    assert_eq!(float(&of_x("stddev", floats(&[1.0, 3.0]))), Some(2.0_f64.sqrt()));
    for (values, due) in [([1e-300, 3e-300], 2.0_f64.sqrt() * 1e-300), ([f64::MAX, 0.0], f64::MAX / 2.0_f64.sqrt())] {
        let deviation = float(&of_x("stddev", floats(&values))).unwrap();
        assert!((deviation / due - 1.0).abs() < 1e-15, "{deviation:e}, not {due:e}");
    }
    assert_eq!(float(&of_x("stddev", floats(&[0.0, 5e-324]))), Some(5e-324));
    assert_eq!(float(&of_x("variance", floats(&[1e-160, 3e-160]))), Some(2e-320), "squares do not vanish");
    assert_eq!(float(&of_x("sum", floats(&[f64::INFINITY, 1.0]))), Some(f64::INFINITY));
    assert!(float(&of_x("sum", floats(&[f64::INFINITY, f64::NEG_INFINITY]))).unwrap().is_nan());
    assert!(float(&of_x("variance", floats(&[f64::INFINITY, 1.0]))).unwrap().is_nan());
    assert_eq!(float(&of_x("sum", floats(&[-0.0]))).map(f64::to_bits), Some(0));
}

#[test]
fn nulls_are_left_out_and_groups_without_values_are_null() {
    let nulls: ArrayRef = Arc::new(Float64Array::from(vec![None, None]));
    for op in ["sum", "mean", "variance", "stddev", "min", "max"] {
        assert_eq!(float(&of_x(op, nulls.clone())), None, "{op}");
    }
    for op in ["count", "count-distinct", "approx-count-distinct"] {
        assert_eq!(int(&of_x(op, nulls.clone())), Some(0), "{op}");
    }
    assert_eq!(float(&one(json!({"op": "approx-quantile", "column": "x", "at": 0.5}), nulls.clone()).unwrap()), None);
    assert_eq!(one(json!({"op": "top", "column": "x", "k": 2}), nulls).unwrap().as_list::<i32>().value_length(0), 0);
    assert_eq!(float(&of_x("variance", floats(&[1.0]))), None, "one value alone has no variance");
}

#[test]
fn without_groups_there_is_one_row_even_of_no_rows() {
    let empty = rows(0);
    let config = json!({"compute": everything()});
    let batch = run(&config, vec![empty.clone(), empty.clone()]).unwrap();
    assert_eq!(batch.num_rows(), 1);
    assert_eq!(int(batch.column(0)), Some(0));
    let config = json!({"by": ["kind"], "compute": everything()});
    assert_eq!(run(&config, vec![empty]).unwrap().num_rows(), 0);
}

#[test]
fn sums_that_do_not_fit_are_errors_whatever_they_were_on_the_way() {
    let ints = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    assert_eq!(int(&of_x("sum", ints(&[i64::MAX, i64::MAX, -i64::MAX]))), Some(i64::MAX));
    let problem = one(json!({"op": "sum", "column": "x"}), ints(&[i64::MAX, 1])).unwrap_err();
    assert_eq!(problem.message, "a sum of about 9.223372036854776e18 is out of the range of Int64");
    let small: ArrayRef = Arc::new(Int8Array::from(vec![127; 300]));
    assert_eq!(int(&of_x("sum", small)), Some(38_100));
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX - 1, 1]));
    assert_eq!(of_x("sum", unsigned).as_primitive::<UInt64Type>().value(0), u64::MAX);
    let decimals = |values: Vec<i128>| {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 2).unwrap()) as ArrayRef
    };
    let most = 10_i128.pow(38) - 1;
    let sum = of_x("sum", decimals(vec![most, most, -most]));
    assert_eq!((sum.data_type(), sum.as_primitive::<Decimal128Type>().value(0)), (&DataType::Decimal128(38, 2), most));
    assert!(one(json!({"op": "sum", "column": "x"}), decimals(vec![most, 1])).is_err());
}

#[test]
fn decimals_have_means_and_variances_as_floats() {
    let decimals: ArrayRef =
        Arc::new(Decimal64Array::from(vec![110, 120, 150]).with_precision_and_scale(18, 2).unwrap());
    assert_eq!(float(&of_x("mean", decimals.clone())), Some(3.8 / 3.0));
    assert_eq!(float(&of_x("variance", decimals)), Some(13.0 / 300.0));
    let hundreds: ArrayRef = Arc::new(Decimal128Array::from(vec![1, 3]).with_precision_and_scale(5, -2).unwrap());
    assert_eq!(float(&of_x("mean", hundreds.clone())), Some(200.0));
    assert_eq!(float(&of_x("variance", hundreds)), Some(20_000.0));
}

#[test]
fn first_and_last_go_by_another_column() {
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("x", Arc::new(StringArray::from(vec![Some("b"), Some("a"), None, Some("c"), Some("d")])) as ArrayRef, true),
        ("at", Arc::new(Int32Array::from(vec![Some(1), Some(1), Some(5), None, Some(3)])), true),
    ])
    .unwrap();
    let compute = |op: &str| json!({"op": op, "column": "x", "by": "at"});
    let result = run(&json!({"compute": [compute("first"), compute("last")]}), vec![batch.clone()]).unwrap();
    assert_eq!(result.column(0).as_string::<i32>().value(0), "a", "of equal rows the one with the least value");
    assert!(result.column(1).is_null(0), "null is a value that may be the last");
    let top = json!({"op": "top", "column": "x", "by": "at", "k": 3});
    let result = run(&json!({"compute": [top]}), vec![batch]).unwrap();
    let list = result.column(0).as_list::<i32>().value(0);
    assert_eq!(list.as_string::<i32>().iter().collect::<Vec<_>>(), [None, Some("d"), Some("b")]);
}

#[test]
fn values_in_order_take_nan_as_the_greatest_and_zeros_as_one() {
    let column = floats(&[f64::NAN, -0.0, 0.0, -1.0]);
    assert!(float(&of_x("max", column.clone())).unwrap().is_nan());
    assert_eq!(int(&of_x("count-distinct", column.clone())), Some(3));
    let top = one(json!({"op": "bottom", "column": "x", "k": 3}), column).unwrap();
    let top = top.as_list::<i32>().value(0);
    assert_eq!(top.as_primitive::<Float64Type>().values().to_vec(), [-1.0, 0.0, 0.0]);
}

#[test]
fn a_value_that_no_other_is_worse_than_is_told_from_none() {
    let ints = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    assert_eq!(int(&of_x("min", ints(&[i64::MAX, i64::MAX]))), Some(i64::MAX));
    assert_eq!(int(&of_x("max", ints(&[i64::MIN]))), Some(i64::MIN));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("key", ints(&[1, 2, 3]), false),
        ("x", Arc::new(UInt64Array::from(vec![None, Some(0), Some(7)])) as ArrayRef, true),
        ("y", Arc::new(Decimal128Array::from(vec![Some(0), None, Some(-(10_i128.pow(38)) + 1)])), true),
    ])
    .unwrap();
    let compute = |column: &str| json!({"op": "max", "column": column});
    let result = run(&json!({"by": ["key"], "compute": [compute("x"), compute("y")]}), vec![batch]).unwrap();
    assert_eq!(result.column(1).as_primitive::<UInt64Type>().iter().collect::<Vec<_>>(), [None, Some(0), Some(7)]);
    let wide: Vec<_> = result.column(2).as_primitive::<Decimal128Type>().iter().collect();
    assert_eq!(wide, [Some(0), None, Some(-(10_i128.pow(38)) + 1)]);
}

#[test]
fn quantiles_are_near() {
    let column: ArrayRef = Arc::new(Int32Array::from_iter_values((1..=10_000).rev()));
    for at in [0.0, 0.01, 0.5, 0.99, 1.0] {
        let found =
            float(&one(json!({"op": "approx-quantile", "column": "x", "at": at}), column.clone()).unwrap()).unwrap();
        let due = (at * 10_000.0_f64).max(1.0);
        assert!((found - due).abs() <= due / 512.0, "{at}: {found}");
    }
}

#[test]
fn a_state_is_kept_once_for_all_that_comes_of_it() {
    let compute = |op: &str| json!({"op": op, "column": "x"});
    let config =
        json!({"by": ["kind"], "compute": [compute("sum"), compute("mean"), compute("variance"), compute("stddev")]});
    let description = testing::describe::<Combining<Aggregate>>(&config, &[rows(0).schema()]).unwrap();
    assert_eq!(description.partial.unwrap().fields().len(), 1 + 3 + 4);
    assert_eq!(description.inputs[0].reads, [0, 4]);
    let names: Vec<_> = description.outputs[0].fields.iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["kind", "sum-x", "mean-x", "variance-x", "stddev-x"]);
    assert_eq!(description.outputs[0].fields[0].data_type(), &DataType::Utf8, "dictionaries come out as their values");
}

#[test]
fn all_mistakes_are_told_at_once_each_at_its_place() {
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int8Type, _, _>([Some(vec![Some(1)])]));
    let batch = RecordBatch::try_from_iter([
        ("x", floats(&[1.0])),
        ("list", list),
        ("t", Arc::new(StringArray::from(vec!["a"])) as ArrayRef),
    ])
    .unwrap();
    let config = json!({"by": ["list", "t", "t", "y"], "compute": [
        {"op": "sum"},
        {"op": "sum", "column": "t", "k": 3},
        {"op": "count", "as": "t"},
        {"op": "first", "column": "x"},
        {"op": "top", "column": "x", "k": 0},
        {"op": "approx-quantile", "column": "x", "at": 1.5},
        {"op": "max", "column": "list"},
        {"op": "max", "column": "x"}, {"op": "max", "column": "x"},
    ]});
    let problem = run(&config, vec![batch.clone()]).unwrap_err();
    assert_eq!(problem.config_path.as_deref(), Some("/by/0"));
    let expected = "\
column `list` is List(Int8), not of a type whose values can be compared
also at `/by/2`: `t` is named twice
also at `/by/3`: the input has no column `y` (did you mean `x`?)
also at `/compute/0`: `sum` needs `column`
also at `/compute/1/column`: column `t` is Utf8, not a number
also at `/compute/1/k`: `sum` takes no `k`
also at `/compute/2/as`: the output would have two columns `t` (name one of them by `as`)
also at `/compute/3`: `first` needs `by`
also at `/compute/4/k`: `k` is at least 1
also at `/compute/5/at`: a quantile lies from 0 to 1
also at `/compute/6/column`: column `list` is List(Int8), not of a type whose values can be compared
also at `/compute/8`: the output would have two columns `max-x` (name one of them by `as`)";
    assert_eq!(problem.message, expected);
    let problem = run(&json!({"compute": []}), vec![batch]).unwrap_err();
    assert_eq!(problem.config_path.as_deref(), Some("/compute"));
}
