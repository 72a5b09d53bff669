//! What expressions give: the values and types that PostgreSQL 15 has for them, or that the documentation has where a type differs.

use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, Decimal128Array, DictionaryArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray,
};
use arrow_cast::display::array_value_to_string;

use super::tests::{Case, Way};

/// A row with a value of each type.
fn row() -> RecordBatch {
    let decimal = |value: i128, scale| Decimal128Array::from(vec![value]).with_precision_and_scale(12, scale).unwrap();
    let list = |items: &[Option<i32>]| ListArray::from_iter_primitive::<Int32Type, _, _>([Some(items.to_vec())]);
    let columns: [(&str, ArrayRef); 11] = [
        ("d", Arc::new(decimal(10_000, 2))),
        ("q", Arc::new(decimal(200, 2))),
        ("n", Arc::new(Int64Array::from(vec![7]))),
        ("i", Arc::new(Int32Array::from(vec![-7]))),
        ("x", Arc::new(Float64Array::from(vec![2.5]))),
        ("f", Arc::new(Float32Array::from(vec![1.1]))),
        ("s", Arc::new(StringArray::from(vec!["abc"]))),
        ("k", Arc::new(["b", "a", "b"].into_iter().collect::<DictionaryArray<Int32Type>>().slice(0, 1))),
        ("l", Arc::new(list(&[Some(1), Some(2), Some(1)]))),
        ("e", Arc::new(list(&[Some(1), None]))),
        ("m", Arc::new(Int64Array::from(vec![None]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn given(expression: &str) -> Result<String, String> {
    let rows = Case::planned(&format!("SELECT {expression} AS o FROM t"), &[("t", row())])?.answer(&Way::by(10))?;
    let column = rows.column(0);
    let value = if column.is_null(0) { "null".to_owned() } else { array_value_to_string(column, 0).unwrap() };
    Ok(format!("{value}: {}", column.data_type()))
}

const VALUES: &[(&str, &str)] = &[
    // A number with a point is a decimal.
    ("0.1 + 0.2 = 0.3", "true: Boolean"),
    ("round(q * 1.005, 2)", "2.01: Decimal128(17, 2)"),
    ("n * 2.5", "17.5: Decimal128(23, 1)"),
    ("i * 2.5", "-17.5: Decimal128(13, 1)"),
    ("x * 2.5", "6.25: Float64"),
    ("f * 2.0 > 2.2", "true: Boolean"),
    ("x + 0.5", "3.0: Float64"),
    ("x % 0.7 < 0.5", "true: Boolean"),
    ("1e3", "1000.0: Float64"),
    ("1_000.5", "1000.5: Decimal128(5, 1)"),
    ("12345678901234567890", "12345678901234567890: UInt64"),
    ("99999999999999999999", "99999999999999999999: Decimal128(20, 0)"),
    ("1.23456789012345678901234567890123456789012", "1.2345678901234567: Float64"),
    ("x = 2.5", "true: Boolean"),
    ("f = 1.1", "false: Boolean"),
    ("n = 7.0 AND n > 6.5 AND n IN (7.0)", "true: Boolean"),
    ("x BETWEEN 2.4 AND 2.6 AND x IN (1, 2.5)", "true: Boolean"),
    ("CASE WHEN n > 1 THEN 1.5 ELSE x END", "1.5: Float64"),
    ("CASE WHEN n > 1 THEN 1.5 ELSE 2 END", "1.5: Decimal128(21, 1)"),
    ("coalesce(x, 0.5)", "2.5: Float64"),
    ("sqrt(6.25)", "2.5: Float64"),
    ("CAST(2.5 AS INT)", "3: Int32"),
    ("CAST(-2.5 AS INT)", "-3: Int32"),
    ("CAST(2.5e0 AS INT)", "2: Int32"),
    ("round(2.5)", "3: Decimal128(2, 0)"),
    ("greatest(x, 2.7)", "2.7: Float64"),
    ("percentile_cont(0.5) WITHIN GROUP (ORDER BY x)", "2.5: Float64"),
    ("array_has(make_array(x), 2.5)", "true: Boolean"),
    ("2.5 = ANY (ARRAY[x])", "true: Boolean"),
    ("avg(n * 0.1)", "0.7000000000000000: Decimal128(37, 16)"),
    ("avg(d)", "100.0000000000000000: Decimal128(26, 16)"),
    ("sum(0.1)", "0.1: Decimal128(11, 1)"),
    // Quotients are rounded.
    ("q / 3", "0.6666666666666667: Decimal128(26, 16)"),
    ("-q / 3", "-0.6666666666666667: Decimal128(26, 16)"),
    ("1.0 / 3", "0.3333333333333333: Decimal128(17, 16)"),
    ("n / 2.0", "3.5000000000000000: Decimal128(37, 16)"),
    ("(n / 3.0) * (n / 3.0)", "5.4444444444444442888889: Decimal128(38, 22)"),
    ("x / q", "1.25: Float64"),
    ("x * 0 + CAST(-244691.5000000000000000 AS DECIMAL(30, 16))", "-244691.5: Float64"),
    ("7 / 2", "3: Int64"),
    ("-7 / 2", "-3: Int64"),
    ("-7 % 3", "-1: Int64"),
    // A text says a number.
    ("d = '100.004'", "false: Boolean"),
    ("d = '100'", "true: Boolean"),
    ("'100.004' > d", "true: Boolean"),
    ("d IN ('100.004', '99.999')", "false: Boolean"),
    ("d NOT IN ('100.004')", "true: Boolean"),
    ("d BETWEEN '99.999' AND '100.001'", "true: Boolean"),
    ("d BETWEEN '100.001' AND '101'", "false: Boolean"),
    ("d IS DISTINCT FROM '100.004'", "true: Boolean"),
    ("CASE d WHEN '100.004' THEN 1 ELSE 2 END", "2: Int64"),
    ("d = NULL", "null: Boolean"),
    ("x = '2.50'", "true: Boolean"),
    ("n = '7'", "true: Boolean"),
    // A sign belongs to what follows.
    ("n>-1 AND n<>-1 AND n>=-7 AND n<=+7", "true: Boolean"),
    ("i%-4", "-3: Int64"),
    ("s||-1", "abc-1: Utf8"),
    ("n&-2", "6: Int64"),
    // Patterns.
    ("s SIMILAR TO 'b'", "false: Boolean"),
    ("s SIMILAR TO '%(b|d)%'", "true: Boolean"),
    ("s NOT SIMILAR TO 'a_c'", "false: Boolean"),
    ("s SIMILAR TO 'a.c'", "false: Boolean"),
    ("'a%' SIMILAR TO 'a!%' ESCAPE '!'", "true: Boolean"),
    ("s SIMILAR TO '[a-b]+c'", "true: Boolean"),
    ("'a\nb' SIMILAR TO 'a_b'", "true: Boolean"),
    ("s LIKE 'a!%' ESCAPE '!'", "false: Boolean"),
    ("'a%' LIKE 'a!%' ESCAPE '!'", "true: Boolean"),
    // Lists.
    ("array_to_string(array_remove(l, 1), '-')", "2: Utf8"),
    ("array_to_string(array_replace(l, 1, 9), '-')", "9-2-9: Utf8"),
    ("l[array_length(l)]", "1: Int32"),
    ("cardinality(l) - 5", "-2: Int64"),
    ("array_position(e, NULL)", "2: Int64"),
    ("l && e", "true: Boolean"),
    // Other words.
    ("mod(n, 4)", "3: Int64"),
    ("sign(-2.5)", "-1.0: Float64"),
    ("n BETWEEN SYMMETRIC 9 AND 3", "true: Boolean"),
    ("n NOT BETWEEN SYMMETRIC 9 AND 3", "false: Boolean"),
    ("n BETWEEN SYMMETRIC 9 AND m", "null: Boolean"),
    ("string_agg(DISTINCT k, '|' ORDER BY k)", "b: LargeUtf8"),
    // Functions of texts.
    ("substr('abcdef', -1, 4)", "ab: Utf8"),
    ("split_part('a,b,c', ',', -1)", "c: Utf8"),
    ("left('abcdef', -2) || right('abcdef', -2)", "abcdcdef: Utf8"),
    ("concat('a', NULL, 'b')", "ab: Utf8"),
    ("'a' || NULL", "null: Utf8"),
    ("greatest(1, NULL, 3) + least(NULL, 2)", "5: Int64"),
    ("regexp_replace('AAA', 'a', 'b', 'gi')", "bbb: Utf8"),
    ("to_hex(-1)", "ffffffffffffffff: Utf8"),
    ("CAST(' 12 ' AS INT)", "12: Int32"),
];

#[test]
fn expressions_give_what_postgresql_gives() {
    let found = VALUES.iter().map(|(expression, due)| (expression, due, given(expression)));
    let wrong = found.filter(|(_, due, found)| found.as_deref() != Ok(**due));
    let wrong: Vec<_> = wrong.map(|(expression, due, found)| format!("{expression}: {found:?}, not {due}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_can_not_be_said_so_is_refused_with_the_way_out() {
    for (expression, says) in [
        ("d = s", "CAST(t.s AS DECIMAL(20, 6))"),
        ("d = 'abc'", "is no number"),
        ("d = '1e2'", "is no number"),
        ("n = '1.5'", "`1.5`"),
        ("s SIMILAR TO s", "use"),
        ("s SIMILAR TO '[a'", "ends within brackets"),
        ("s LIKE s ESCAPE '!'", "backslash"),
        ("array_remove(e, NULL)", "does not find NULL"),
        ("s ->> 'a'", "parse-json@1"),
        ("(n, i) IN (SELECT n, i FROM t)", "EXISTS"),
        ("substring(s FROM 'b.')", "regexp_match(s, 'b.')[1]"),
        ("datediff(n, 1)", "there is no function"),
        ("1.0 / (n - n)", "ivide by zero"),
    ] {
        let said = given(expression).expect_err(expression);
        assert!(said.contains(says), "{expression}: {said}");
    }
}
