//! Golden digests of what a sink writes. One that changes here has all such sinks written again, for every user;
//! `FLOWC_BLESS=1` rewrites them.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use arrow_schema::{DataType, Field, Schema};
use flowc_planner::plan::{Compression, CsvDialect, Format, SinkSpec, Target};
use flowc_sinks::{SinkSegment, result_digest};

fn file(format: Format) -> SinkSpec {
    let target = Target::File("out/data".to_owned());
    SinkSpec { target, format, compression: Compression::Auto, partition_by: Vec::new() }
}

fn dialect() -> CsvDialect {
    let header = false;
    CsvDialect { header, delimiter: ';', quote: '\'', escape: Some('\\'), comment: None, null: "NA".to_owned() }
}

fn schema() -> Schema {
    let metadata = [("unit".to_owned(), "EUR".to_owned())].into();
    let price = Field::new("price", DataType::Decimal128(10, 2), false).with_metadata(metadata);
    let owner = [("owner".to_owned(), "sales".to_owned())].into();
    Schema::new_with_metadata(vec![Field::new("id", DataType::Int64, true), price], owner)
}

fn segments() -> [SinkSegment; 2] {
    [
        SinkSegment { name: Some("orders/a.csv".to_owned()), digest: [1; 32] },
        SinkSegment { name: None, digest: [2; 32] },
    ]
}

fn specs() -> Vec<(&'static str, SinkSpec)> {
    let folder = |partition_by: &[&str]| SinkSpec {
        target: Target::Directory("out".to_owned()),
        partition_by: partition_by.iter().map(|&column| column.to_owned()).collect(),
        ..file(Format::Parquet)
    };
    vec![
        ("csv", file(Format::Csv(CsvDialect::default()))),
        ("csv in a dialect", file(Format::Csv(dialect()))),
        ("csv, gzip", SinkSpec { compression: Compression::Gzip, ..file(Format::Csv(CsvDialect::default())) }),
        ("jsonl", file(Format::JsonLines)),
        ("parquet", file(Format::Parquet)),
        ("arrow", file(Format::Arrow)),
        ("avro", file(Format::Avro(Box::default()))),
        ("lines", file(Format::Lines)),
        ("a folder", folder(&[])),
        ("a folder of partitions", folder(&["id"])),
        ("a table on standard output", SinkSpec { target: Target::Stdout, ..file(Format::Table) }),
    ]
}

#[test]
fn digests_of_sinks_are_as_ever() {
    let digest = |spec| blake3::Hash::from_bytes(result_digest(spec, &schema(), &segments())).to_hex();
    let told: String = specs().iter().map(|(name, spec)| format!("{name}: {}\n", digest(spec))).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/digests.txt");
    if std::env::var_os("FLOWC_BLESS").is_some() {
        std::fs::write(&golden, &told).unwrap();
    }
    assert_eq!(told, std::fs::read_to_string(&golden).unwrap_or_default());
}
