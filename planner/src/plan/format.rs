//! Formats of files, and how their bytes are compressed.

use serde::{Deserialize, Serialize};

use super::{AvroFormat, ProtobufFormat};

/// How bytes become rows, and rows bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma-separated values.
    Csv(CsvDialect),
    /// One JSON object a line.
    JsonLines,
    /// Apache Parquet.
    Parquet,
    /// Arrow IPC, file or stream.
    Arrow,
    /// One row a line of text, column `line`.
    Lines,
    /// One row a file, columns `path` (as matched, `/`-separated) and `content` (binary). Sources only.
    Bytes,
    /// An aligned table for people. Standard output only.
    Table,
    /// Apache Avro: container files, and records of topics.
    Avro(Box<AvroFormat>),
    /// Messages of Protocol Buffers. Topics only.
    Protobuf(Box<ProtobufFormat>),
    /// Change events of Debezium, whose rows are in another format. Sources of topics only.
    Debezium(Box<Format>),
}

impl Format {
    /// Its name, as the text of a pipeline has it.
    pub fn name(&self) -> &'static str {
        match self {
            Format::Csv(_) => "csv",
            Format::JsonLines => "jsonl",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
            Format::Lines => "lines",
            Format::Bytes => "bytes",
            Format::Table => "table",
            Format::Avro(_) => "avro",
            Format::Protobuf(_) => "protobuf",
            Format::Debezium(rows) => rows.name(),
        }
    }

    /// Its name where each record of a topic is a value of its own.
    pub fn record_name(&self) -> &'static str {
        match self {
            Format::JsonLines => "json",
            Format::Lines => "text",
            Format::Debezium(rows) => rows.record_name(),
            other => other.name(),
        }
    }
}

/// How a CSV file is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvDialect {
    /// Whether the first record names the columns.
    pub header: bool,
    /// One ASCII character.
    pub delimiter: char,
    /// One ASCII character.
    pub quote: char,
    /// Escapes a quote within quotes, where that is not done by doubling it.
    pub escape: Option<char>,
    /// Lines that start so are left out.
    pub comment: Option<char>,
    /// Fields equal to this text are null.
    pub null: String,
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self { header: true, delimiter: ',', quote: '"', escape: None, comment: None, null: String::new() }
    }
}

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// By the file's ending: `.gz`, `.zst`, none otherwise.
    Auto,
    /// Not at all.
    None,
    /// Gzip, several members too.
    Gzip,
    /// Zstandard, several frames too.
    Zstd,
}

impl Compression {
    /// What it is for a file of this name: never [`Auto`](Compression::Auto).
    pub fn of(self, name: &str) -> Self {
        let ending = name.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map(|(_, ending)| ending);
        match (self, ending) {
            (Compression::Auto, Some(ending)) if ending.eq_ignore_ascii_case("gz") => Compression::Gzip,
            (Compression::Auto, Some(ending)) if ending.eq_ignore_ascii_case("zst") => Compression::Zstd,
            (Compression::Auto, _) => Compression::None,
            (stated, _) => stated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_name_says_how_it_is_compressed_unless_that_is_stated() {
        for (name, compression) in [
            ("a.csv.gz", Compression::Gzip),
            ("a.CSV.GZ", Compression::Gzip),
            ("é.zst", Compression::Zstd),
            ("a.gz/b", Compression::None),
            ("gz", Compression::None),
        ] {
            assert_eq!(Compression::Auto.of(name), compression, "{name}");
            assert_eq!(Compression::Zstd.of(name), Compression::Zstd);
        }
    }
}
