//! Sinks: which stream goes where, and how its rows are written.

use serde::{Deserialize, Serialize};

use super::{Compression, DatabaseSink, Format, KafkaSink, StreamId};

/// Where results go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sink {
    /// As in the text.
    pub name: String,
    /// The stream that is written.
    pub stream: StreamId,
    /// Where and how.
    pub spec: SinkSpec,
}

/// Where and how a sink writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// A file, a folder, standard output, or a topic.
    pub target: Target,
    /// How rows become bytes.
    pub format: Format,
    /// How the bytes are compressed.
    pub compression: Compression,
    /// Columns whose values name subfolders (`column=value/`), outermost first. Folders only.
    pub partition_by: Vec<String>,
}

impl SinkSpec {
    /// The ending of the files in a folder: `.csv.gz`.
    pub fn ending(&self) -> String {
        let format = match &self.format {
            Format::Csv(_) => ".csv",
            Format::JsonLines => ".jsonl",
            Format::Parquet => return ".parquet".to_owned(),
            Format::Arrow => return ".arrow".to_owned(),
            Format::Lines | Format::Bytes | Format::Table => ".txt",
        };
        let compression = match self.compression {
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
            Compression::Auto | Compression::None => "",
        };
        format!("{format}{compression}")
    }
}

/// A sink's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One file, relative to the pipeline's folder unless absolute.
    File(String),
    /// A folder: a file per segment, named after the segment's source file where there is one, or partitions.
    Directory(String),
    /// Standard output.
    Stdout,
    /// A topic of Apache Kafka, which records are appended to.
    Kafka(Box<KafkaSink>),
    /// A table of a database.
    Database(Box<DatabaseSink>),
}
