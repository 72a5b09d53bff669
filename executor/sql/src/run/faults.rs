//! Values that can't be: each is an error, whatever its type and wherever it comes up, and never another value.

use super::tests::{Case, Way, rows};

/// What is said of an expression over `n`, a number between -20 and 19.
fn said(expression: &str, wrapped: &str) -> Result<(), String> {
    let statement = wrapped.replace("{}", expression);
    Case::planned(&statement, &[("t", rows(9, 50)), ("u", rows(8, 5))])?.answer(&Way::by(10)).map(drop)
}

/// Statements in all the ways in which expressions are run.
const WRAPPED: [&str; 4] = [
    "SELECT {} AS o FROM t",
    "SELECT n FROM t WHERE {} IS NULL",
    "SELECT g, count({}) AS c FROM t GROUP BY g",
    "SELECT t.n, u.g FROM t JOIN u ON t.g = u.g AND {} IS NOT NULL",
];

/// Expressions, and what an error of each has to say.
const FAULTS: [(&str, &str); 33] = [
    ("t.n + 9223372036854775807", "verflow"),
    ("-9223372036854775807 - t.n - 20 - 20", "verflow"),
    ("t.n * 9223372036854775807", "verflow"),
    ("-(t.n - 9223372036854775807 - 1 - t.n)", "verflow"),
    ("CAST(t.n AS INT) + CAST(2147483647 AS INT)", "verflow"),
    ("CAST(t.n AS SMALLINT) * CAST(32767 AS SMALLINT)", "verflow"),
    ("CAST(t.n * 100 AS TINYINT)", "type Int8"),
    ("arrow_cast(t.n, 'UInt8')", "type UInt8"),
    ("CAST(t.n + 1e19 AS BIGINT)", "type Int64"),
    ("CAST(t.n AS DECIMAL(38, 0)) * CAST(99999999999999999999999999999999999999 AS DECIMAL(38, 0))", "verflow"),
    ("CAST(t.n + 1000 AS DECIMAL(3, 0))", "ecimal"),
    ("CAST(CAST(t.n AS DECIMAL(50, 2)) + CAST('18446744073709551700' AS DECIMAL(50, 2)) AS BIGINT)", "Int64"),
    ("CAST(CAST(t.n AS DECIMAL(50, 0)) - CAST('18446744073709551700' AS DECIMAL(50, 0)) AS INT)", "Int32"),
    ("CAST(CAST(t.n AS DECIMAL(60, 1)) + CAST('1e45' AS DECIMAL(60, 1)) AS BIGINT)", "ecimal"),
    ("arrow_cast(CAST(t.n AS DECIMAL(50, 2)) + CAST('18446744073709551700' AS DECIMAL(50, 2)), 'Int16')", "Int16"),
    ("10 / (t.n - t.n)", "ivide by zero"),
    ("10 % (t.n - t.n)", "ivide by zero"),
    ("CAST(10 AS SMALLINT) / CAST(t.n - t.n AS SMALLINT)", "ivide by zero"),
    ("CAST(1 AS DECIMAL(10, 2)) / CAST(t.n - t.n AS DECIMAL(10, 2))", "ivide by zero"),
    ("CAST(1 AS DECIMAL(10, 2)) % CAST(t.n - t.n AS DECIMAL(10, 2))", "ivide by zero"),
    ("CAST(t.g AS BIGINT)", "annot cast"),
    ("CAST(t.g || 'x' AS DOUBLE)", "annot cast"),
    ("CAST(t.g || 'x' AS DATE)", "annot cast"),
    ("CAST(t.g || 'x' AS TIMESTAMP)", "pars"),
    ("CAST(t.g || 'x' AS BOOLEAN)", "annot cast"),
    ("CAST(t.g || 'x' AS DECIMAL(5, 2))", "annot"),
    ("to_date(t.g || 'x')", "Date32"),
    ("abs(t.n - t.n - 9223372036854775807 - 1)", "verflow"),
    ("factorial(40 + t.n)", "verflow"),
    ("lcm(9223372036854775807, t.n)", "verflow"),
    ("to_timestamp(t.n + 9223372036854775000)", "exceeds"),
    ("make_date(2024, 13 + t.n - t.n, 1)", "onth"),
    ("date_bin(INTERVAL '0' SECOND, arrow_cast(t.n, 'Timestamp(Second, None)'))", "non-zero"),
];

#[test]
fn values_that_can_not_be_are_errors() {
    let mut wrong = Vec::new();
    for (expression, due) in FAULTS {
        for wrapped in WRAPPED {
            match said(expression, wrapped) {
                Err(error) if error.contains(due) => {}
                other => wrong.push(format!("{}: {other:?}", wrapped.replace("{}", expression))),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
