//! What sinks write and what standard stages give, held against pyarrow and DuckDB: the same values of the same logical types.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod support;

use support::oracle::Oracle;
use support::project::Project;

const PIPELINE: &str = r#"
source "parquet" { files "parquet.arrow" }
source "csv" { files "csv.arrow" }
source "jsonl" { files "jsonl.arrow" }
sink "arrow" { in "parquet"; file "out/arrow.arrow" }
sink "parquet" { in "parquet"; file "out/parquet.parquet" }
sink "jsonl" { in "jsonl"; file "out/jsonl.jsonl" }
sink "plain" { in "csv"; file "out/plain.csv" }
sink "escaped" { in "csv"; file "out/escaped.csv"; format "csv" escape="\\" }
sink "other" { in "csv"; file "out/other.csv"; format "csv" delimiter=";" quote="'" null-text="NA" }
sink "bare" { in "csv"; file "out/bare.csv"; format "csv" header=#false delimiter="\t" null-text="none" }
"#;

/// Runs a pipeline over what a script makes; the script then looks at what came of it.
fn agrees(pipeline: &str, script: &str) {
    let (project, oracle) = (Project::new(), Oracle::new());
    project.write("flow.kdl", pipeline);
    oracle.run(&project, script, "make");
    let output = project.flowc(&["run"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    oracle.run(&project, script, "check");
}

#[test]
fn other_readers_find_what_was_written() {
    agrees(PIPELINE, "sinks.py");
}

const AVRO: &str = r#"
source "null" { files "in/null.avro" }
source "deflate" { files "in/deflate.avro" }
source "rows" { files "in/rows.parquet" }
sink "null" { in "null"; file "out/null.parquet" }
sink "deflate" { in "deflate"; file "out/deflate.parquet" }
sink "rows" { in "rows"; file "out/rows.avro" }
sink "plain" { in "rows"; file "out/plain.avro"; compression "none" }
"#;

#[test]
fn fastavro_and_flowc_read_what_the_other_wrote() {
    agrees(AVRO, "avro.py");
}

const STAGES: &str = r#"
source "rows" { files "rows-*.parquet" }

stage "groups" {
    in "rows"
    std "aggregate@1"
    config {
        by "kind" "key"
        compute op="count"
        compute op="count" column="x"
        compute op="sum" column="n"
        compute op="sum" column="u" as="s"
        compute op="sum" column="d"
        compute op="min" column="odd"
        compute op="max" column="odd"
        compute op="min" column="t"
        compute op="max" column="t"
        compute op="min" column="at"
        compute op="max" column="at"
        compute op="max" column="day"
        compute op="min" column="b"
        compute op="first" column="t" by="at"
        compute op="last" column="n" by="at"
        compute op="count-distinct" column="t"
        compute op="count-distinct" column="odd"
        compute op="count-distinct" column="n"
        compute op="top" column="n" k=3
        compute op="bottom" column="t" k=2
    }
}
stage "floats" {
    in "rows"
    std "aggregate@1"
    config {
        by "kind"
        compute op="sum" column="x"
        compute op="mean" column="x"
        compute op="variance" column="x"
        compute op="stddev" column="x"
        compute op="mean" column="n"
        compute op="variance" column="n"
        compute op="mean" column="d"
        compute op="variance" column="d"
    }
}
stage "sketches" {
    in "rows"
    std "aggregate@1"
    config {
        compute op="approx-count-distinct" column="n" as="about"
        compute op="approx-quantile" column="n" at=0.1 as="low"
        compute op="approx-quantile" column="x" at=0.5 as="middle"
        compute op="approx-quantile" column="d" at=0.9 as="high"
    }
}
stage "latest" { in "rows"; std "dedup@1"; config { by "kind" "key"; keep "last"; order "at" } }
stage "typed" {
    in "rows"
    std "cast@1"
    config {
        cast column="n" to="Utf8"
        cast column="d" to="Float64"
        cast column="at" to="Date32" as="on"
        cast column="day" to="Timestamp(us)"
        cast column="t" to="Decimal128(9, 2)"
        cast column="b" to="Int32"
        cast column="at" to="Timestamp(s)" round=#true
    }
}
stage "cast" { in "typed"; std "select@1"; config { keep "id" "n" "d" "on" "day" "t" "b" "at" } }
stage "full" {
    in "rows"
    std "fill-null@1"
    config {
        fill column="n" value=-1
        fill column="kind" from="t"
        fill column="day" value="2000-01-01"
    }
}
stage "filled" { in "full"; std "select@1"; config { keep "id" "n" "kind" "day" } }
stage "items" { in "rows"; std "explode@1"; config { column "tags"; position "place" } }
stage "exploded" { in "items"; std "select@1"; config { keep "id" "tags" "place" } }
stage "sorted" {
    in "rows"
    std "sort@1"
    config { by column="odd" order="desc"; by column="t"; by column="id" }
}
stage "checked" {
    in "rows"
    std "assert@1"
    config {
        check column="n" min=0
        check { column "kind"; in "a" "b" }
        check column="x" not-null=#true
        check column="at" max="2000-01-01T00:00:00"
        on-failure "stream"
    }
}
stage "failed" { in "checked.failed"; std "select@1"; config { keep "id" } }
stage "passed" { in "checked.out"; std "select@1"; config { keep "id" } }
foreach "name" "groups" "floats" "sketches" "latest" "cast" "filled" "exploded" "sorted" "failed" "passed" {
    sink "${name}" { in "${name}"; file "out/${name}.parquet" }
}
"#;

#[test]
fn standard_stages_give_what_duckdb_gives() {
    agrees(STAGES, "stages.py");
}

const WINDOWS: &str = r#"
source "events" { files "events-*.parquet"; event-time "at" delay="5s" }
source "nights" { files "nights.parquet"; event-time "at" delay="1h" }
stage "tumbling" {
    in "events" { window "tumbling" size="1m" lateness="10s" }
    std "aggregate@1"
    config { by "user"; compute op="count"; compute op="sum" column="n" as="sum-n" }
}
stage "sliding" {
    in "events" { window "sliding" size="1m" slide="10s" lateness="10s" }
    std "aggregate@1"
    config { by "user"; compute op="count"; compute op="sum" column="n" as="sum-n" }
}
stage "days" {
    in "events" { window "calendar" size="1d" zone="Europe/Oslo" }
    std "aggregate@1"
    config { compute op="count" }
}
stage "latest" {
    in "events" { window "tumbling" size="1m" lateness="10s" }
    std "dedup@1"
    config { by "user"; keep "last"; order "at" }
}
stage "visits" {
    in "events" { window "session" gap="1s" by="user" lateness="10s" }
    std "aggregate@1"
    config { by "user"; compute op="count"; compute op="sum" column="n" as="sum-n" }
}
stage "few" { in "events"; std "filter@1"; config { where column="n" op="<" value=30 } }
stage "few-sliding" {
    in "few" { window "sliding" size="1m" slide="10s" lateness="10s" }
    std "aggregate@1"
    config { by "user"; compute op="count"; compute op="sum" column="n" as="sum-n" }
}
stage "few-tumbling" {
    in "few" { window "tumbling" size="1m" lateness="10s" }
    std "dedup@1"
    config { by "user"; keep "last"; order "at" }
}
stage "few-visits" {
    in "few" { window "session" gap="1s" by="user" lateness="10s" }
    std "aggregate@1"
    config { by "user"; compute op="count"; compute op="sum" column="n" as="sum-n" }
}
foreach "unit" "1d" "1w" "1mo" {
    stage "nights-${unit}" {
        in "nights" { window "calendar" size="${unit}" zone="Europe/Oslo" }
        std "aggregate@1"
        config { compute op="count"; compute op="sum" column="n" as="sum-n" }
    }
    sink "nights-${unit}" { in "nights-${unit}"; file "out/nights-${unit}.parquet" }
}
stage "hundreds" {
    in "events" { window "count" rows=100 }
    std "aggregate@1"
    config { compute op="count"; compute op="sum" column="n" as="sum-n" }
}
stage "fifties" {
    in "events" { window "count" rows=50 by="user" }
    std "aggregate@1"
    config { by "user"; compute op="count"; compute op="sum" column="n" as="sum-n" }
}
foreach "name" "tumbling" "sliding" "days" "latest" "visits" "hundreds" "fifties" "few-tumbling" "few-sliding" "few-visits" {
    sink "${name}" { in "${name}"; file "out/${name}.parquet" }
}
sink "late" { in "tumbling.late"; file "out/late.parquet" }
sink "few-late" { in "few-tumbling.late"; file "out/few-late.parquet" }
"#;

#[test]
fn windows_hold_what_duckdb_finds_in_them() {
    agrees(WINDOWS, "windows.py");
}
