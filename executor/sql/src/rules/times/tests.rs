//! Statements over columns of each type of time, and what PostgreSQL answers.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, DurationMicrosecondArray, IntervalMonthDayNanoArray, RecordBatch, TimestampMicrosecondArray,
};
use arrow_buffer::IntervalMonthDayNano;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, TimeUnit};
use datafusion::arrow::compute::cast;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::MemTable;

use super::*;
use crate::session::{Room, session};
use crate::stack::wait;
use crate::{offered, statement, time_windows};

const DAY: i64 = 86_400_000_000;
/// 2024-01-30 00:00:00, in microseconds.
const AT: i64 = 1_706_572_800_000_000;

/// Two rows: 2024-01-30 09:00:00 and 25 hours later; `f` has 0.5 seconds more; `v` is the difference, 25 hours and 0; `i` a day and 25 hours.
fn table() -> RecordBatch {
    let times = |more: i64| TimestampMicrosecondArray::from(vec![AT + DAY / 24 * 9 + more, AT + DAY / 24 * 34 + more]);
    let in_unit = |unit| cast(&times(0), &DataType::Timestamp(unit, None)).unwrap();
    let zoned: ArrayRef = Arc::new(times(500_000).with_timezone("UTC"));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(arrow_array::Int64Array::from(vec![1, 2]))),
        ("s", in_unit(TimeUnit::Second)),
        ("m", in_unit(TimeUnit::Millisecond)),
        ("u", in_unit(TimeUnit::Microsecond)),
        ("n", in_unit(TimeUnit::Nanosecond)),
        ("f", Arc::new(times(500_000))),
        ("z", zoned),
        ("d", cast(&times(0), &DataType::Date32).unwrap()),
        ("far", Arc::new(TimestampMicrosecondArray::from(vec![253_402_214_400_000_000; 2]))),
        ("v", Arc::new(DurationMicrosecondArray::from(vec![DAY / 24 * 25, 0]))),
        (
            "i",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                IntervalMonthDayNano::new(0, 1, 0),
                IntervalMonthDayNano::new(0, 0, DAY / 24 * 25 * 1000),
            ])),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The values of the first column, with blanks between them.
fn answer(text: &str) -> Result<String> {
    let context = session(&Room::default())?;
    let batch = table();
    context.register_table("t", Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))?;
    let mut statement = statement::parse(text)?;
    time_windows::rewrite(&mut statement)?;
    offered::rewrite(&mut statement)?;
    let plan = wait(context.state().statement_to_plan(statement))?;
    let plan = context.state().optimize(&plan)?;
    let batches = wait(DataFrame::new(context.state(), plan).collect())?;
    let mut values = Vec::new();
    for batch in &batches {
        let options = FormatOptions::default();
        let column = ArrayFormatter::try_new(batch.column(0), &options)?;
        values.extend((0..batch.num_rows()).map(|row| column.value(row).to_string()));
    }
    Ok(values.join(" "))
}

/// Each with its values in both rows.
fn answers(cases: &[(&str, &str)]) {
    let wrong = cases.iter().filter_map(|(expr, is)| {
        let said = answer(&format!("SELECT {expr} AS x FROM t ORDER BY id"));
        let is_right = said.as_ref().is_ok_and(|said| said == is);
        (!is_right).then(|| format!("{expr}: {said:?}, not {is}"))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

/// Each with what is said of it.
fn refusals(cases: &[(&str, &str)]) {
    let wrong = cases.iter().filter_map(|(text, why)| {
        let said = answer(text).map_err(|error| error.strip_backtrace());
        let is_right = said.as_ref().is_err_and(|said| said.contains(why));
        (!is_right).then(|| format!("{text}: {said:?}"))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn intervals_are_compared_by_their_length() {
    answers(&[
        ("v > INTERVAL '1 day'", "true false"),
        ("INTERVAL '1 day' < v", "true false"),
        ("u - s >= INTERVAL '0 seconds'", "true true"),
        ("(u - TIMESTAMP '2024-01-01 00:00:00') > INTERVAL '29 days 10 hours'", "false true"),
        ("v BETWEEN INTERVAL '1 day' AND INTERVAL '2 days'", "true false"),
        ("v IN (INTERVAL '1 day 1 hour', INTERVAL '1 month')", "true false"),
        ("v NOT IN (INTERVAL '25 hours')", "false true"),
        ("v = INTERVAL '1 day 1 hour'", "true false"),
        ("v IS DISTINCT FROM INTERVAL '25 hours'", "false true"),
        ("CASE v WHEN INTERVAL '1 day 1 hour' THEN 'a' ELSE 'b' END", "a b"),
        ("i = INTERVAL '24 hours'", "true false"),
        ("i > INTERVAL '1 day'", "false true"),
        ("i < v", "true false"),
        ("INTERVAL '1 day' < INTERVAL '25 hours'", "true true"),
        ("INTERVAL '24 hours' = INTERVAL '1 day'", "true true"),
        ("INTERVAL '1 month' = INTERVAL '30 days'", "true true"),
        ("INTERVAL '1 month' > INTERVAL '29 days 25 hours'", "false false"),
        ("INTERVAL '1 year' = INTERVAL '360 days'", "true true"),
        ("(SELECT count(*) FROM t a JOIN t b ON a.v = b.i)", "1 1"),
        ("(SELECT count(*) FROM t a JOIN t b ON a.v > b.i)", "1 1"),
        ("(SELECT count(*) FROM t a JOIN t b ON a.i = b.i AND b.i > INTERVAL '24 hours')", "1 1"),
        ("v > '1 day'", "true false"),
        ("rank() OVER (ORDER BY v)", "2 1"),
        ("count(*) OVER (PARTITION BY v)", "1 1"),
        ("i = '24 hours'", "true false"),
        ("(SELECT max(v) FROM t) > INTERVAL '1 day'", "true true"),
    ]);
    refusals(&[
        ("SELECT i FROM t ORDER BY i", "`ORDER BY` of intervals is not offered"),
        ("SELECT i FROM t GROUP BY i", "`GROUP BY` of intervals"),
        ("SELECT DISTINCT i FROM t", "`DISTINCT` or a set"),
        ("SELECT i FROM t UNION SELECT v + INTERVAL '1 day' FROM t", "`DISTINCT` or a set"),
        ("SELECT min(i) FROM t", "`min` of intervals"),
        ("SELECT count(DISTINCT i) FROM t", "of intervals"),
        ("SELECT row_number() OVER (ORDER BY i) FROM t", "of intervals"),
        ("SELECT row_number() OVER (PARTITION BY i ORDER BY id) FROM t", "of intervals"),
        (
            "SELECT count(*) OVER (ORDER BY v RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW) FROM t",
            "`RANGE` of",
        ),
        ("SELECT avg(v) FROM t", "`avg(extract(epoch FROM ...))`"),
        ("SELECT greatest(i, INTERVAL '1 day') FROM t", "`greatest` and `least` of intervals"),
        ("SELECT nullif(i, INTERVAL '1 day') FROM t", "`nullif` of intervals"),
        ("SELECT a.id FROM t a JOIN t b USING (i)", "`JOIN` of intervals"),
    ]);
}

#[test]
fn dates_with_hours_are_timestamps() {
    answers(&[
        ("d + INTERVAL '36 hours'", "2024-01-31T12:00:00 2024-02-01T12:00:00"),
        ("d - INTERVAL '1 hour'", "2024-01-29T23:00:00 2024-01-30T23:00:00"),
        ("INTERVAL '1 day 1 second' + d", "2024-01-31T00:00:01 2024-02-01T00:00:01"),
        ("d + INTERVAL '8 hours' > d", "true true"),
        ("d + INTERVAL '1 day'", "2024-01-31 2024-02-01"),
        ("d + INTERVAL '1 month'", "2024-02-29 2024-02-29"),
        ("d + v", "2024-01-31T01:00:00 2024-01-31T00:00:00"),
        ("d + i", "2024-01-31T00:00:00 2024-02-01T01:00:00"),
        ("d < DATE '2024-01-30' + INTERVAL '12 hours'", "true false"),
        ("d + 1", "2024-01-31 2024-02-01"),
    ]);
}

#[test]
fn coarse_times_and_fine_literals_meet_in_the_finer_unit() {
    let mut cases = Vec::new();
    for column in ["s", "m", "u", "n", "CAST(s AS TIMESTAMP)", "arrow_cast(n, 'Timestamp(Second, None)')"] {
        for (expr, is) in [
            ("COLUMN = '2024-01-30 09:00:00'", "true false"),
            ("COLUMN = '2024-01-30 09:00:00.0005'", "false false"),
            ("COLUMN >= '2024-01-30 09:00:00.0005'", "false true"),
            ("TIMESTAMP '2024-01-30 09:00:00.0005' > COLUMN", "true false"),
            ("COLUMN IN ('2024-01-30 09:00:00.0005', '2024-01-31 10:00:00')", "false true"),
            ("COLUMN NOT IN ('2024-01-30 09:00:00.0005')", "true true"),
            ("COLUMN BETWEEN '2024-01-30 09:00:00.0005' AND '2024-01-31 10:00:00.0005'", "false true"),
            ("CASE COLUMN WHEN '2024-01-30 09:00:00.0005' THEN 1 ELSE 2 END", "2 2"),
            ("coalesce(nullif(COLUMN, '2024-01-30 09:00:00.0005'), NULL) IS NULL", "false false"),
            ("COLUMN = f", "false false"),
            ("COLUMN < f", "true true"),
            ("COLUMN + INTERVAL '500 milliseconds' = f", "true true"),
            ("COLUMN + INTERVAL '500 milliseconds' > COLUMN", "true true"),
            ("COLUMN + (f - u) = f", "true true"),
            ("f - INTERVAL '0.5 seconds' = COLUMN", "true true"),
            ("COLUMN - f < INTERVAL '0 seconds'", "true true"),
            ("date_bin(INTERVAL '500 milliseconds', COLUMN + INTERVAL '700 milliseconds') = f", "true true"),
            ("date_bin(INTERVAL '400 milliseconds', COLUMN, TIMESTAMP '2024-01-30 08:59:59.9') < COLUMN", "true true"),
            ("date_trunc('second', COLUMN) = '2024-01-30 09:00:00.000'", "true false"),
            (
                "count(*) OVER (ORDER BY COLUMN RANGE BETWEEN INTERVAL '24 hours 3599.5 seconds' PRECEDING AND CURRENT ROW)",
                "1 1",
            ),
            ("count(*) OVER (ORDER BY COLUMN RANGE BETWEEN INTERVAL '25 hours' PRECEDING AND CURRENT ROW)", "1 2"),
        ] {
            cases.push((expr.replace("COLUMN", column), is));
        }
    }
    let cases: Vec<_> = cases.iter().map(|(expr, is)| (expr.as_str(), *is)).collect();
    answers(&cases);
    answers(&[
        ("s + INTERVAL '1500 milliseconds'", "2024-01-30T09:00:01.500 2024-01-31T10:00:01.500"),
        ("s + INTERVAL '1 day'", "2024-01-31T09:00:00 2024-02-01T10:00:00"),
        ("far > TIMESTAMP '2024-01-01 00:00:00'", "true true"),
        ("far > TIMESTAMP '2024-01-01 00:00:00' + INTERVAL '1 day'", "true true"),
        ("(SELECT count(*) FROM t a JOIN (SELECT s AS n FROM t) b USING (n))", "2 2"),
        ("(SELECT count(*) FROM t a JOIN t b ON a.s = b.n - (b.f - b.u))", "0 0"),
        ("(SELECT count(*) FROM (SELECT s FROM t UNION SELECT f FROM t) AS x)", "4 4"),
        ("CAST(far AS TIMESTAMP) > TIMESTAMP '2024-01-01 00:00:00'", "true true"),
        ("far = '9999-12-31'", "true true"),
        ("far BETWEEN '2024-01-01 00:00:00.5' AND '9999-12-31 01:00:00'", "true true"),
        ("z = '2024-01-30 09:00:00.5'", "true false"),
        ("z > '2024-01-30T09:00:00.5+01:00'", "true true"),
        ("CAST(f AS TIMESTAMP(0))", "2024-01-30T09:00:01 2024-01-31T10:00:01"),
    ]);
    for window in [
        "TUMBLE(t, s, INTERVAL '500 milliseconds')",
        "HOP(t, s, INTERVAL '500 milliseconds', INTERVAL '500 milliseconds')",
    ] {
        let long = answer(&format!("SELECT window_end - window_start = INTERVAL '0.5 seconds' AS x FROM {window}"));
        assert_eq!(long.unwrap(), "true true", "{window}");
    }
    let sessions = "SELECT count(*) AS x FROM SESSION(t, s, INTERVAL '25 hours 0.5 seconds') GROUP BY window_start";
    assert_eq!(answer(sessions).unwrap(), "2");
}

#[test]
fn zones_turn_instants_and_clocks_into_each_other() {
    answers(&[
        ("z AT TIME ZONE 'Europe/Rome'", "2024-01-30T10:00:00.500 2024-01-31T11:00:00.500"),
        ("CAST(z AT TIME ZONE 'Europe/Rome' AS TIMESTAMP)", "2024-01-30T10:00:00.500 2024-01-31T11:00:00.500"),
        ("extract(epoch FROM z AT TIME ZONE 'Europe/Rome') - extract(epoch FROM z)", "3600.0 3600.0"),
        ("extract(hour FROM z AT TIME ZONE 'Europe/Rome')", "10 11"),
        ("CAST((z + INTERVAL '14.5 hours') AT TIME ZONE 'Europe/Rome' AS DATE)", "2024-01-31 2024-02-01"),
        ("f AT TIME ZONE 'Europe/Rome'", "2024-01-30T08:00:00.500Z 2024-01-31T09:00:00.500Z"),
        ("z AT TIME ZONE 'Europe/Rome' AT TIME ZONE 'Europe/Rome' = z", "true true"),
        ("f AT TIME ZONE 'UTC' = z", "true true"),
        ("TIMESTAMP '2024-10-27 02:30:00' AT TIME ZONE 'Europe/Rome'", "2024-10-27T01:30:00Z 2024-10-27T01:30:00Z"),
        ("TIMESTAMP '2024-03-31 02:30:00' AT TIME ZONE 'Europe/Rome'", "2024-03-31T01:30:00Z 2024-03-31T01:30:00Z"),
    ]);
    refusals(&[
        ("SELECT z AT TIME ZONE 'Europe/Rom' FROM t", "no time zone `Europe/Rom`"),
        ("SELECT z AT TIME ZONE '+02:00' FROM t", "two ways"),
        ("SELECT '2024-01-01' AT TIME ZONE 'UTC' FROM t", "CAST(... AS TIMESTAMP)"),
    ]);
}

#[test]
fn parts_are_those_of_postgresql() {
    answers(&[
        ("extract(hour FROM v)", "1 0"),
        ("extract(day FROM v)", "1 0"),
        ("date_part('hour', i)", "0 25"),
        ("extract(minute FROM INTERVAL '65 minutes')", "5 5"),
        ("extract(second FROM INTERVAL '65.5 seconds')", "5.5 5.5"),
        ("extract(month FROM INTERVAL '14 months')", "2 2"),
        ("extract(epoch FROM INTERVAL '1 year 1 month 1 day 0.25 seconds')", "34236000.25 34236000.25"),
        ("extract(epoch FROM v)", "90000.0 0.0"),
        ("date_part('second', f)", "0.5 0.5"),
        ("date_part('second', '2024-01-01 00:00:05.5')", "5.5 5.5"),
        ("extract(second FROM s)", "0.0 0.0"),
        ("extract(millisecond FROM f)", "500.0 500.0"),
        ("extract(microsecond FROM f)", "500000 500000"),
        ("extract(epoch FROM TIMESTAMP '2024-01-01 00:00:00.25')", "1704067200.25 1704067200.25"),
        ("extract(epoch FROM TIMESTAMP '2024-01-01 00:00:00.123456')", "1704067200.123456 1704067200.123456"),
        ("extract(epoch FROM TIMESTAMP '1960-01-01 00:00:00.25')", "-315619199.75 -315619199.75"),
        ("extract(epoch FROM d)", "1706572800.0 1706659200.0"),
        ("extract(second FROM TIMESTAMP '1960-01-01 00:00:01.25')", "1.25 1.25"),
        ("extract(second FROM TIME '10:00:01.25')", "1.25 1.25"),
        ("extract(hour FROM v + INTERVAL '1 hour')", "2 1"),
    ]);
    refusals(&[("SELECT extract(week FROM v) FROM t", "an interval has no `week`")]);
}

#[test]
fn intervals_are_multiplied_and_divided() {
    answers(&[
        ("v * 2 = INTERVAL '50 hours'", "true false"),
        ("v / 2 = INTERVAL '12.5 hours'", "true false"),
        ("extract(epoch FROM (s - s + INTERVAL '1 second') / 2)", "0.5 0.5"),
        ("0.5 * v = INTERVAL '12.5 hours'", "true false"),
        ("INTERVAL '1 day' * 3 = INTERVAL '3 days'", "true true"),
        ("u + INTERVAL '1 hour' * id = u + INTERVAL '1 hour'", "true false"),
        ("INTERVAL '1 month' / 2 = INTERVAL '15 days'", "true true"),
        ("extract(day FROM INTERVAL '1 month' * 1.5)", "15 15"),
        ("extract(hour FROM INTERVAL '1 day' / 2)", "12 12"),
    ]);
    refusals(&[("SELECT v / (id - 1) FROM t", "divided by zero")]);
}

#[test]
fn patterns_are_those_of_postgresql() {
    answers(&[
        ("to_char(f, 'YYYY-MM-DD HH24:MI:SS.MS')", "2024-01-30 09:00:00.500 2024-01-31 10:00:00.500"),
        ("to_char(d, 'FMDay, DD Mon YYYY')", "Tuesday, 30 Jan 2024 Wednesday, 31 Jan 2024"),
        ("to_char(d, 'MONTH') || '|'", "JANUARY  | JANUARY  |"),
        ("to_char(d, 'IYYY\"-W\"IW Q DDD')", "2024-W05 1 030 2024-W05 1 031"),
        ("to_char(f, 'HH12 AM')", "09 AM 10 AM"),
        ("to_char(f, '%Y-%m-%d')", "2024-01-30 2024-01-31"),
        ("to_char(CAST(NULL AS TIMESTAMP), 'MONTH YYYY') IS NULL", "true true"),
        ("to_date('05/02/2024', 'DD/MM/YYYY')", "2024-02-05 2024-02-05"),
        ("to_timestamp('2024-01-05 10:30', 'YYYY-MM-DD HH24:MI')", "2024-01-05T10:30:00Z 2024-01-05T10:30:00Z"),
    ]);
    refusals(&[
        ("SELECT to_char(f, 'YYYY-WW') FROM t", "`WW`, which is not known"),
        ("SELECT to_char(f, '%Y-MM') FROM t", "both `%` and `MM`"),
        ("SELECT to_char(v, 'HH24:MI') FROM t", "not an interval"),
        ("SELECT to_char(f, CAST(id AS TEXT)) FROM t", "is a text of the statement"),
    ]);
}
