//! What plans need of their inputs.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryViewArray, RecordBatch, StringViewArray};
use arrow_schema::{DataType, Field};
use flowc_planner::plan::Class;

use super::tests::{Case, Way, rows};

/// The class of the inputs of a statement.
fn classes(statement: &str) -> Vec<Class> {
    let statement = statement.replace("TIME", "arrow_cast(n, 'Timestamp(Second, None)')");
    let case = Case::new(&statement, &[("t", rows(1, 3)), ("u", rows(2, 3))]);
    case.shape.inputs.iter().map(|input| input.class).collect()
}

#[test]
fn the_class_follows_from_the_plan() {
    use Class::{Combining, Keyed, RowWise, Whole};
    let cases: [(&str, &[Class]); 36] = [
        ("SELECT k, n + 1 AS m FROM t WHERE g = 'a'", &[RowWise]),
        ("SELECT a.m FROM (SELECT n + 1 AS m, k FROM t) AS a WHERE a.k > 2", &[RowWise]),
        ("SELECT k, sum(x) AS s FROM t GROUP BY k", &[Combining]),
        ("SELECT count(*) AS c FROM t WHERE n > 1", &[Combining]),
        ("SELECT s * 2 AS d FROM (SELECT k, sum(n) AS s FROM t GROUP BY k) AS p WHERE s > 1", &[Combining]),
        ("SELECT k, median(x) AS m FROM t GROUP BY k", &[Keyed]),
        ("SELECT n % 2 AS r, median(x) AS m FROM t GROUP BY n % 2", &[Whole]),
        ("SELECT k, array_agg(n) AS a FROM t GROUP BY k", &[Keyed]),
        ("SELECT n, rank() OVER (PARTITION BY k ORDER BY n) AS r FROM t", &[Keyed]),
        ("SELECT n, rank() OVER (ORDER BY n) AS r FROM t", &[Whole]),
        ("SELECT n FROM t ORDER BY n", &[Whole]),
        ("SELECT n FROM t LIMIT 3", &[Whole]),
        ("SELECT t.n, u.g FROM t JOIN u ON t.k = u.k", &[RowWise, Whole]),
        ("SELECT t.n, u.g FROM t LEFT JOIN u ON t.k = u.k", &[RowWise, Whole]),
        ("SELECT t.n, u.g FROM t RIGHT JOIN u ON t.k = u.k", &[Whole, RowWise]),
        ("SELECT t.n, u.g FROM t FULL JOIN u ON t.k = u.k", &[Keyed, Keyed]),
        ("SELECT t.n, u.g FROM t FULL JOIN u ON t.k = u.k + 1", &[Whole, Whole]),
        ("SELECT u.k, count(*) AS c FROM t JOIN u ON t.k = u.k GROUP BY u.k", &[Keyed, Keyed]),
        ("SELECT u.g, count(*) AS c FROM t JOIN u ON t.k = u.k GROUP BY u.g", &[Combining, Whole]),
        ("SELECT g, count(*) AS c FROM t GROUP BY g ORDER BY c DESC LIMIT 3", &[Combining]),
        ("SELECT g, rank() OVER (ORDER BY count(*)) AS r FROM t GROUP BY g", &[Combining]),
        ("SELECT k, count(DISTINCT n) AS c FROM t GROUP BY k", &[Combining]),
        ("SELECT c, count(*) AS n FROM (SELECT k, count(*) AS c FROM t GROUP BY k) AS p GROUP BY c", &[Combining]),
        ("SELECT g, count(*) AS c FROM t GROUP BY g HAVING count(*) > (SELECT count(*) FROM u)", &[Whole, Whole]),
        ("SELECT t.g, count(*) AS c FROM t RIGHT JOIN u ON t.k = u.k + 1 GROUP BY t.g", &[Whole, Whole]),
        ("SELECT g, sum(n) AS s FROM t WHERE n > (SELECT avg(n) FROM t) GROUP BY g", &[Whole]),
        ("SELECT a.n FROM t a JOIN t b ON a.k = b.k", &[Whole]),
        ("SELECT n FROM t WHERE n > (SELECT avg(n) FROM t)", &[Whole]),
        ("SELECT n FROM t WHERE k NOT IN (SELECT k FROM u)", &[RowWise, Whole]),
        ("SELECT n, unnest(make_array(n, k)) AS i FROM t", &[RowWise]),
        ("SELECT n, window_start FROM TUMBLE(t, TIME, INTERVAL '1' DAY) AS w", &[RowWise]),
        (
            "SELECT window_end, sum(n) AS s FROM HOP(t, TIME, INTERVAL '1' HOUR, INTERVAL '1' DAY) GROUP BY window_end",
            &[Combining],
        ),
        (
            "SELECT window_end, k, median(n) AS m FROM TUMBLE(t, TIME, INTERVAL '1' DAY) GROUP BY window_end, k",
            &[Keyed],
        ),
        (
            "SELECT k, window_end, sum(n) AS s FROM SESSION(t, TIME, INTERVAL '1' DAY, k) GROUP BY k, window_end",
            &[Keyed],
        ),
        ("SELECT n, window_end FROM SESSION(t, TIME, INTERVAL '1' DAY)", &[Whole]),
        ("SELECT t.n FROM t FULL JOIN generate_series(1, 3) AS s(v) ON t.k = s.v", &[Whole]),
    ];
    for (statement, due) in cases {
        assert_eq!(classes(statement), due, "{statement}");
    }
}

#[test]
fn a_plan_that_needs_all_rows_says_why() {
    let cases = [
        ("SELECT n FROM t ORDER BY n", "a global ORDER BY"),
        ("SELECT n FROM t ORDER BY n LIMIT 3", "a LIMIT"),
        ("SELECT n, rank() OVER (ORDER BY n) AS r FROM t", "a window over all rows"),
        (
            "SELECT n % 2 AS r, median(x) AS m FROM t GROUP BY n % 2 ORDER BY r",
            "`median(t.x)` needs all rows of a group",
        ),
        ("SELECT a.n FROM t a JOIN t b ON a.k = b.k", "`t` is read more than once"),
        ("SELECT n FROM t UNION SELECT n FROM u", "a UNION"),
        ("SELECT t.n, u.g FROM t FULL JOIN u ON t.k = u.k + 1", "a FULL JOIN"),
        ("SELECT t.n, u.g FROM t JOIN u ON t.k = u.k", "each segment of `t` meets all rows"),
        (
            "SELECT u.g, count(*) AS c FROM t RIGHT JOIN u ON t.k = u.k + 1 GROUP BY u.g",
            "the rows of `t`, the first input, are not taken one by one",
        ),
    ];
    for (statement, due) in cases {
        let case = Case::new(statement, &[("t", rows(1, 3)), ("u", rows(2, 3))]);
        assert_eq!(case.shape.inputs.last().unwrap().because, due, "{statement}");
    }
}

#[test]
fn columns_that_are_not_needed_are_not_read() {
    let case = Case::new("SELECT k, g, n + 1 AS m FROM t WHERE x > 0", &[("t", rows(1, 3))]);
    assert_eq!(case.shape.inputs[0].reads, [2, 4], "`k` and `g` are passed on");
    let case = Case::new("SELECT t.n, u.g FROM t JOIN u ON t.k = u.k", &[("t", rows(1, 3)), ("u", rows(1, 3))]);
    assert_eq!((&case.shape.inputs[0].reads[..], &case.shape.inputs[1].reads[..]), (&[0, 4][..], &[0, 1][..]));
}

#[test]
fn a_column_that_is_passed_on_keeps_its_type_and_views_are_plain_in_others() {
    let texts = ["a", "a text that no view holds inline"];
    let views: ArrayRef = Arc::new(StringViewArray::from_iter_values(texts));
    let bytes: ArrayRef = Arc::new(BinaryViewArray::from_iter_values(texts));
    let table = || RecordBatch::try_from_iter([("v", views.clone()), ("b", bytes.clone())]).unwrap();
    for (statement, due) in [
        ("SELECT * FROM t", [DataType::Utf8View, DataType::BinaryView]),
        ("SELECT v, b FROM t WHERE v <> 'b'", [DataType::Utf8View, DataType::BinaryView]),
        ("SELECT v, b FROM t ORDER BY v", [DataType::Utf8, DataType::Binary]),
        ("SELECT concat(v, 'x') AS v, b FROM t", [DataType::Utf8, DataType::BinaryView]),
    ] {
        let case = Case::new(statement, &[("t", table())]);
        let types: Vec<DataType> = case.schema.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, due, "{statement}");
        let answer = case.answer(&Way::by(2)).unwrap();
        // Columns that are passed on do not go through the query.
        let is_described = |field: &Arc<Field>| case.schema.fields().iter().any(|other| other == field);
        assert!(answer.num_rows() == 2 && answer.schema().fields().iter().all(is_described), "{statement}");
    }
}
