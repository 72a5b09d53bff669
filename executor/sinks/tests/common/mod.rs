//! What the tests of sinks share.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

pub mod unfit;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use flowc_planner::plan::{Compression, CsvDialect, Format, SinkSpec, Target};
use flowc_sinks::{Dataset, Remembered, Sink, SinkError, SinkSegment, SinkState, Sinks, Syncs, Transaction};

pub fn csv() -> Format {
    Format::Csv(CsvDialect::default())
}

pub fn file(path: &str, format: Format) -> SinkSpec {
    spec(Target::File(path.to_owned()), format)
}

pub fn folder(path: &str, format: Format) -> SinkSpec {
    spec(Target::Directory(path.to_owned()), format)
}

pub fn spec(target: Target, format: Format) -> SinkSpec {
    SinkSpec { target, format, compression: Compression::Auto, partition_by: Vec::new() }
}

/// Rows of a number and a text.
pub fn numbers(range: Range<i64>) -> RecordBatch {
    let texts = StringArray::from_iter_values(range.clone().map(|n| format!("row {n}")));
    RecordBatch::try_from_iter([
        ("n", Arc::new(Int64Array::from_iter_values(range)) as Arc<dyn Array>),
        ("t", Arc::new(texts) as _),
    ])
    .unwrap()
}

pub fn segments(named: &[(&str, u8)]) -> Vec<SinkSegment> {
    let segment = |&(name, digest): &(&str, u8)| SinkSegment { name: Some(name.to_owned()), digest: [digest; 32] };
    named.iter().map(segment).collect()
}

/// Segments whose digests follow from their rows.
pub fn segments_of(rows: &[(&str, &[RecordBatch])]) -> Vec<SinkSegment> {
    let digest = |batches: &[RecordBatch]| *blake3::hash(format!("{batches:?}").as_bytes()).as_bytes();
    rows.iter().map(|(name, batches)| SinkSegment { name: Some((*name).to_owned()), digest: digest(batches) }).collect()
}

pub fn sink(spec: &SinkSpec, base: &Path) -> Box<dyn Sink> {
    Sinks::new(base).sink(spec)
}

pub fn open(
    spec: &SinkSpec,
    base: &Path,
    schema: SchemaRef,
    segments: &[SinkSegment],
    previous: Option<&SinkState>,
) -> Result<Box<dyn Transaction>, SinkError> {
    sink(spec, base).open(&Dataset { schema, segments }, Remembered { finalized: previous, announced: None })
}

/// Does what a run does: removes leftovers, opens, writes what is asked for, prepares, finalizes.
pub fn write(
    spec: &SinkSpec,
    base: &Path,
    rows: &[(&str, &[RecordBatch])],
    previous: Option<&SinkState>,
) -> Result<SinkState, SinkError> {
    let transaction = prepare(spec, base, rows, Remembered { finalized: previous, announced: None })?;
    Ok(transaction.finalize()?.state)
}

/// Does what a run does before anything appears.
pub fn prepare(
    spec: &SinkSpec,
    base: &Path,
    rows: &[(&str, &[RecordBatch])],
    earlier: Remembered<'_>,
) -> Result<Box<dyn Transaction>, SinkError> {
    let sink = sink(spec, base);
    sink.recover()?;
    let dataset = Dataset { schema: rows[0].1[0].schema(), segments: &segments_of(rows) };
    let transaction = sink.open(&dataset, earlier)?;
    for (i, job) in transaction.jobs().iter().enumerate() {
        let mut writer = transaction.writer(i)?;
        for batch in job.segments.iter().flat_map(|&segment| rows[segment].1) {
            writer.write(batch)?;
        }
        writer.finish()?;
    }
    let mut syncs = Syncs::default();
    transaction.prepare(&mut syncs)?;
    syncs.run()?;
    Ok(transaction)
}

/// Sorted names in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
