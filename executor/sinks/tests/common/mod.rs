//! What the tests of sinks share.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, missing_docs)]

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use flowc_planner::plan::{Compression, CsvDialect, Format, SinkSpec, Target};
use flowc_sinks::{Preparation, SinkError, SinkSegment, SinkState, Stagings, remove_leftovers};

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

/// Does what a run does: removes leftovers, prepares, writes what is asked for, syncs, commits.
pub fn write(
    spec: &SinkSpec,
    base: &Path,
    rows: &[(&str, &[RecordBatch])],
    previous: Option<&SinkState>,
) -> Result<SinkState, SinkError> {
    remove_leftovers([spec], base)?;
    let sink = Preparation::new(spec, rows[0].1[0].schema(), base, &segments_of(rows), previous, &Stagings::default())?;
    let mut written = Vec::new();
    for (i, job) in sink.jobs().iter().enumerate() {
        let mut writer = sink.writer(i)?;
        for batch in job.segments.iter().flat_map(|&segment| rows[segment].1) {
            writer.write(batch)?;
        }
        written.push(writer.finish()?);
    }
    Preparation::sync([&sink])?;
    sink.commit(written)
}

/// Sorted names in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
