//! What shapes a segment's rows besides its raw bytes.

use arrow_schema::SchemaRef;
use flowc_planner::key::{KeyHasher, canonical_json};
use flowc_planner::plan::{Format, Location, SourceSpec};

/// The reader of a format, with the version of what it makes of bytes. A fix that changes rows raises it.
pub fn reader_version(format: &Format) -> &'static str {
    match format {
        Format::Csv(_) => "csv 6",
        Format::JsonLines => "jsonl 6",
        Format::Parquet => "parquet 2",
        Format::Arrow => "arrow 2",
        Format::Lines => "lines 1",
        Format::Bytes => "bytes 1",
        Format::Table => "table 1",
        Format::Avro(_) => "avro 1",
        Format::Protobuf(_) => "protobuf 1",
        Format::Debezium(_) => "debezium 1",
    }
}

/// A digest of everything that shapes the rows of a segment, given its raw digest: the reader, the dialect, what happens
/// to bad rows, the schema, whether folders have columns, which parts of records do. Neither where the file lies nor how it is compressed.
pub fn spec_digest(spec: &SourceSpec, schema: &SchemaRef) -> [u8; 32] {
    // What the text declares of the columns is in the schema.
    let SourceSpec { format, bad_rows, partitions, location, compression: _, declared: _ } = spec;
    let mut hasher = KeyHasher::new("flowc source 1");
    hasher.bytes(reader_version(format).as_bytes());
    if let Format::Debezium(rows) = format {
        hasher.bytes(reader_version(rows).as_bytes());
    }
    if *partitions == Some(true) {
        hasher.bytes(b"partitions 1");
    }
    let format = serde_json::json!({ "format": format.shaping(), "bad_rows": bad_rows });
    hasher.bytes(canonical_json(&format).as_bytes()).number(schema.fields().len() as u64);
    for field in schema.fields() {
        hasher.field(field);
    }
    if let Location::Kafka(topic) = location {
        let columns = serde_json::json!({ "records": 1, "columns": topic.columns });
        hasher.bytes(canonical_json(&columns).as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use flowc_planner::plan::{BadRows, Compression, CsvDialect, Location};

    use super::*;
    use crate::testing::{csv, schema, spec};

    #[test]
    fn what_shapes_rows_is_in_the_digest_and_nothing_else() {
        let columns = schema(&[("n", DataType::Int64, true)]);
        let base = spec(csv());
        let digest = |spec: &SourceSpec| spec_digest(spec, &columns);
        let quoted = Format::Csv(CsvDialect { quote: '\'', ..CsvDialect::default() });
        assert_ne!(digest(&base), digest(&SourceSpec { format: quoted, ..base.clone() }));
        assert_ne!(digest(&base), digest(&SourceSpec { bad_rows: BadRows::Skip, ..base.clone() }));
        assert_ne!(digest(&base), digest(&SourceSpec { partitions: Some(true), ..base.clone() }));
        assert_eq!(digest(&base), digest(&SourceSpec { partitions: Some(false), ..base.clone() }));
        assert_ne!(digest(&base), spec_digest(&base, &schema(&[("n", DataType::Int64, false)])));
        assert_eq!(digest(&base), digest(&SourceSpec { compression: Compression::Gzip, ..base.clone() }));
        let elsewhere = Location::Files(vec!["elsewhere".to_owned()]);
        assert_eq!(digest(&base), digest(&SourceSpec { location: elsewhere, ..base.clone() }));
    }
}
