//! Bytes as files: columns are inferred and all rows are read, under each way to treat bad rows. Errors are fine; what
//! can be read can be read again, and the ways agree.

use std::path::Path;

use arrow_array::RecordBatch;
use flowc_planner::plan::{BadRows, Compression, CsvDialect, Format, Location, SourceSpec};
use flowc_sources::{OpenFile, SourceError, SourceFile, infer_schema};

pub(crate) fn csv(bytes: &[u8]) {
    let other = CsvDialect { delimiter: ';', comment: Some('#'), escape: Some('\\'), ..CsvDialect::default() };
    let bare = CsvDialect { header: false, ..CsvDialect::default() };
    for dialect in [CsvDialect::default(), other, bare] {
        read(bytes, Format::Csv(dialect), Compression::None);
    }
}

pub(crate) fn json_lines(bytes: &[u8]) {
    read(bytes, Format::JsonLines, Compression::None);
}

pub(crate) fn lines(bytes: &[u8]) {
    read(bytes, Format::Lines, Compression::None);
    read(bytes, Format::Bytes, Compression::None);
}

pub(crate) fn parquet(bytes: &[u8]) {
    read(bytes, Format::Parquet, Compression::None);
}

pub(crate) fn arrow(bytes: &[u8]) {
    read(bytes, Format::Arrow, Compression::None);
}

pub(crate) fn gzip(bytes: &[u8]) {
    read(bytes, Format::Lines, Compression::Gzip);
}

pub(crate) fn zstd(bytes: &[u8]) {
    read(bytes, Format::Lines, Compression::Zstd);
}

/// All rows of a file, and how many were left out.
#[derive(Debug, Default, PartialEq)]
struct Table {
    batches: Vec<RecordBatch>,
    rejected: u64,
}

fn read(bytes: &[u8], format: Format, compression: Compression) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    std::fs::write(&path, bytes).unwrap();
    let file = SourceFile { path, name: "input".to_owned() };
    let read = |bad_rows| {
        let (format, location, declared) = (format.clone(), Location::Stdin, None);
        table(&file, &SourceSpec { location, format, compression, bad_rows, declared, partitions: None }, folder.path())
    };
    let fail = read(BadRows::Fail);
    if !matches!(format, Format::Csv(_) | Format::JsonLines | Format::Lines) {
        return;
    }
    let (skip, stream) = (read(BadRows::Skip), read(BadRows::Stream));
    assert_eq!(skip.as_ref().ok(), stream.as_ref().ok());
    if let Ok(table) = &fail {
        assert_eq!((table, table.rejected), (skip.as_ref().unwrap(), 0));
    }
}

fn table(file: &SourceFile, spec: &SourceSpec, spool: &Path) -> Result<Table, SourceError> {
    let schema = infer_schema(std::slice::from_ref(file), spec)?;
    let columns: Vec<_> = (0..schema.fields().len()).collect();
    let open = OpenFile::open(file, spec, &schema, spool)?;
    let mut table = Table::default();
    for segment in open.segments() {
        let (segment, bytes) = segment?;
        let mut reader = open.read(&segment, bytes, &columns)?;
        let first = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
        let rejects: usize = reader.rejects()?.iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rejects as u64, if spec.bad_rows == BadRows::Stream { reader.rejected() } else { 0 });
        let again = open.read(&segment, None, &columns)?.collect::<Result<Vec<_>, _>>()?;
        assert_eq!(first, again);
        table.rejected += reader.rejected();
        table.batches.extend(first);
    }
    Ok(table)
}
