//! Aggregates of groups.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::Bench;
use super::measure::{by_turns, cpu, measure};
use super::peers::Python;
use super::project::{Cold, FEW};
use super::report::{Finding, Section, row};
use super::windows::line;
use xtask::process;

/// Rows, where the command does not say.
const ROWS: u64 = 10_000_000;
/// Numbers of groups. One that is as large as the number of rows is left out.
const GROUPS: [u64; 2] = [1000, 1_000_000];
const ROUNDS: usize = 3;
/// Columns beside the key and what is aggregated, which nobody reads.
const OTHERS: u64 = 8;
/// Rows of a row group.
const ROW_GROUP: u64 = 500_000;

/// Against DuckDB.
pub(super) fn run(bench: &Bench<'_>) -> Result<Section> {
    let rows = bench.rows.unwrap_or(ROWS);
    let python = Python::prepare(bench)?;
    let (mut table, mut findings) = (Vec::new(), Vec::new());
    for groups in GROUPS.into_iter().filter(|groups| *groups < rows) {
        let file = bench.folder.join(format!("rows-{groups}.parquet"));
        write(&file, rows, groups)?;
        let answer = bench.folder.join(format!("duckdb-{groups}.parquet"));
        let few =
            (pipeline(FEW, "; schema { column \"key\" \"Int64\"; column \"n\" \"Int64\" }"), "key,n\n1,2\n".to_owned());
        let flowc = Cold::new(bench, &format!("groups-{groups}"), pipeline(&file.display().to_string(), ""), few)?;
        flowc.compile()?;
        check(&python, &flowc, &file, &answer)?;
        let [ours, theirs] =
            by_turns(ROUNDS, [&mut || flowc.cold(), &mut || measure(&mut python.groups(&file, &answer))])?;
        let rate = |usages: &[_]| rows as f64 / 1e6 / cpu(usages);
        for (name, usages) in [("flowc", &ours), ("DuckDB", &theirs)] {
            table.push(line(&format!("{name}, {groups} groups"), usages, rate(usages)));
        }
        let target = format!("{groups} groups: at least 0.7x of DuckDB's rate");
        findings.push(Finding::at_least(target, rate(&ours) / rate(&theirs), 0.7, "x"));
    }
    Ok(Section {
        title: "Aggregates of groups".to_owned(),
        text: format!(
            "{rows} rows of {} whole numbers in one Parquet file are grouped by one column, and another one is counted, \
             summed, and has its least and greatest value found: by `aggregate@1`, and by {}. flowc runs cold, with hashing \
             and storing, components compiled. Both give the same rows.",
            OTHERS + 2,
            python.versions()?.split(',').next().unwrap_or("DuckDB"),
        ),
        head: row(["program", "wall time", "processor time", "M rows a core-second", "peak memory"]),
        rows: table,
        findings,
    })
}

fn pipeline(file: &str, schema: &str) -> String {
    format!(
        "source \"rows\" {{ files \"{file}\"{schema} }}\n\
         stage \"groups\" {{\n    in \"rows\"\n    std \"aggregate@1\"\n    config {{\n        by \"key\"\n        \
         compute op=\"count\" as=\"count\"\n        compute op=\"sum\" column=\"n\" as=\"sum\"\n        \
         compute op=\"min\" column=\"n\" as=\"least\"\n        compute op=\"max\" column=\"n\" as=\"greatest\"\n    }}\n}}\n\
         sink \"groups\" {{ in \"groups\"; file \"out/groups.parquet\" }}\n"
    )
}

/// Writes rows whose columns may be null, as most programs write them, and are not.
fn write(file: &Path, rows: u64, groups: u64) -> Result<()> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let properties = properties.set_max_row_group_row_count(Some(ROW_GROUP as usize)).build();
    let first = batch(0..0, groups)?;
    let created = File::create(file).with_context(|| file.display().to_string())?;
    let mut writer = ArrowWriter::try_new(created, first.schema(), Some(properties))?;
    for start in (0..rows).step_by(ROW_GROUP as usize) {
        writer.write(&batch(start..rows.min(start + ROW_GROUP), groups)?)?;
    }
    writer.close()?;
    Ok(())
}

fn batch(numbers: std::ops::Range<u64>, groups: u64) -> Result<RecordBatch> {
    // Any number that mixes its bits.
    let mixed =
        |number: u64, salt: u64| (number ^ (number >> 7) ^ (salt << 40)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let column = |salt: u64, below: u64| -> ArrayRef {
        Arc::new(numbers.clone().map(|number| (mixed(number, salt) % below) as i64).collect::<Int64Array>())
    };
    let others = (0..OTHERS).map(|other| (format!("c{other}"), column(other + 2, 1000), true));
    let own = [("key".to_owned(), column(0, groups), true), ("n".to_owned(), column(1, 10_000), true)];
    Ok(RecordBatch::try_from_iter_with_nullable(own.into_iter().chain(others))?)
}

/// Fails unless both give the same rows.
fn check(python: &Python, flowc: &Cold, file: &Path, answer: &Path) -> Result<()> {
    flowc.cold()?;
    let ours: PathBuf = flowc.folder().join("out/groups.parquet");
    let mut both: Command = python.groups(file, answer);
    process::output(both.arg(ours)).context("DuckDB has other groups").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_so_many_columns_and_few_keys() {
        let rows = batch(0..5000, 10).unwrap();
        assert_eq!(rows.num_columns() as u64, OTHERS + 2);
        let keys = rows.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
        assert_eq!(keys.iter().flatten().collect::<std::collections::BTreeSet<_>>().len(), 10);
    }
}
