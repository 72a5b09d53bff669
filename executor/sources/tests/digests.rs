//! Golden digests of what shapes a source's rows. One that changes here has all files of such sources read again, in every
//! user's store; `FLOWC_BLESS=1` rewrites them.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::plan::{BadRows, Compression, CsvDialect, Format, Location, SourceSpec};
use flowc_sources::spec_digest;

fn spec(format: Format) -> SourceSpec {
    SourceSpec {
        location: Location::Files(vec!["*".to_owned()]),
        format,
        compression: Compression::Auto,
        bad_rows: BadRows::Fail,
        declared: None,
        partitions: None,
    }
}

fn dialect() -> CsvDialect {
    let header = false;
    CsvDialect { header, delimiter: ';', quote: '\'', escape: Some('\\'), comment: Some('#'), null: "NA".to_owned() }
}

fn schema() -> SchemaRef {
    let metadata = [("unit".to_owned(), "EUR".to_owned())].into();
    let price = Field::new("price", DataType::Decimal128(10, 2), false).with_metadata(metadata);
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), price]))
}

fn specs() -> Vec<(&'static str, SourceSpec)> {
    let csv = || spec(Format::Csv(CsvDialect::default()));
    vec![
        ("csv", csv()),
        ("csv in a dialect", spec(Format::Csv(dialect()))),
        ("csv, bad rows are skipped", SourceSpec { bad_rows: BadRows::Skip, ..csv() }),
        ("csv, bad rows are a stream", SourceSpec { bad_rows: BadRows::Stream, ..csv() }),
        ("csv, folders have columns", SourceSpec { partitions: Some(true), ..csv() }),
        ("jsonl", spec(Format::JsonLines)),
        ("parquet", spec(Format::Parquet)),
        ("arrow", spec(Format::Arrow)),
        ("lines", spec(Format::Lines)),
        ("bytes", spec(Format::Bytes)),
    ]
}

#[test]
fn digests_of_sources_are_as_ever() {
    let digest = |spec| blake3::Hash::from_bytes(spec_digest(spec, &schema())).to_hex();
    let told: String = specs().iter().map(|(name, spec)| format!("{name}: {}\n", digest(spec))).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/digests.txt");
    if std::env::var_os("FLOWC_BLESS").is_some() {
        std::fs::write(&golden, &told).unwrap();
    }
    assert_eq!(told, std::fs::read_to_string(&golden).unwrap_or_default());
}
