//! Any bytes, as any format: columns are inferred and all rows are read. Errors are fine, panics are not; and what can be
//! read can be read again, segment by segment.
#![no_main]

use flowc_planner::plan::{BadRows, Compression, CsvDialect, Format, Location, SourceSpec};
use flowc_sources::{OpenFile, SourceError, SourceFile, infer_schema};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (format, bad_rows, bytes) = input;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("input");
    std::fs::write(&path, bytes).expect("a file in it");
    let file = SourceFile { path, name: "input".to_owned() };
    let _ = read(&file, &spec(format, bad_rows), folder.path());
});

fn spec(format: u8, bad_rows: u8) -> SourceSpec {
    let comments = CsvDialect { comment: Some('#'), escape: Some('\\'), ..CsvDialect::default() };
    let formats = [
        Format::Csv(CsvDialect::default()),
        Format::Csv(comments),
        Format::JsonLines,
        Format::Parquet,
        Format::Arrow,
        Format::Lines,
        Format::Bytes,
    ];
    let compressions = [Compression::None, Compression::None, Compression::Gzip, Compression::Zstd];
    SourceSpec {
        location: Location::Stdin,
        format: formats[usize::from(format) % formats.len()].clone(),
        compression: compressions[usize::from(bad_rows) / 3 % compressions.len()],
        bad_rows: [BadRows::Fail, BadRows::Skip, BadRows::Stream][usize::from(bad_rows) % 3],
        declared: None,
    }
}

fn read(file: &SourceFile, spec: &SourceSpec, spool: &std::path::Path) -> Result<(), SourceError> {
    let schema = infer_schema(file, spec)?;
    let columns: Vec<_> = (0..schema.fields().len()).collect();
    let open = OpenFile::open(file, spec, &schema, spool)?;
    for segment in open.segments() {
        let (segment, bytes) = segment?;
        let first = open.read(&segment, bytes, &columns)?.collect::<Result<Vec<_>, _>>()?;
        let again = open.read(&segment, None, &columns)?.collect::<Result<Vec<_>, _>>()?;
        assert_eq!(first, again);
    }
    Ok(())
}
