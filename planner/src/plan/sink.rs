//! Sinks: which stream goes where, and how its rows are written.

use serde::{Deserialize, Serialize};

use super::{Compression, DatabaseSink, DeltaSink, Format, KafkaSink, ObjectSink, StreamId};

/// The name of the manifest that a folder holds which a sink writes.
pub const MANIFEST: &str = ".flowc-sink.json";

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
    /// The kind of sink that it is.
    pub target: Target,
    /// How rows become bytes.
    pub format: Format,
    /// How the bytes are compressed.
    pub compression: Compression,
    /// Columns whose values name subfolders (`column=value/`), outermost first. Folders and Delta tables only.
    pub partition_by: Vec<String>,
}

impl SinkSpec {
    /// The name of the one file or object that it writes, as far as that is all it writes and has a name.
    pub fn single_name(&self) -> Option<&str> {
        match &self.target {
            Target::File(path) => Some(path),
            Target::Objects(objects) if !objects.is_folder => Some(&objects.address.key),
            Target::Objects(_)
            | Target::Directory(_)
            | Target::Stdout
            | Target::Kafka(_)
            | Target::Database(_)
            | Target::Delta(_) => None,
        }
    }

    /// Whether it writes a folder: a file or an object per segment, or partitions.
    pub fn is_folder(&self) -> bool {
        match &self.target {
            Target::Directory(_) => true,
            Target::Objects(objects) => objects.is_folder,
            Target::File(_) | Target::Stdout | Target::Kafka(_) | Target::Database(_) | Target::Delta(_) => false,
        }
    }

    /// Whether its rows are printed where flowc prints.
    pub fn is_printed(&self) -> bool {
        self.target == Target::Stdout
    }

    /// The ending of the files in a folder: `.csv.gz`.
    pub fn ending(&self) -> String {
        let format = match &self.format {
            Format::Csv(_) => ".csv",
            Format::JsonLines => ".jsonl",
            Format::Parquet => return ".parquet".to_owned(),
            Format::Arrow => return ".arrow".to_owned(),
            Format::Avro(_) => return ".avro".to_owned(),
            _ => ".txt",
        };
        let compression = match self.compression {
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
            Compression::Auto | Compression::None => "",
        };
        format!("{format}{compression}")
    }
}

/// A sink's place. This is the planner's list of kinds of sinks; `read/sink.rs` says how the text names them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One file, relative to the pipeline's folder unless absolute.
    File(String),
    /// A folder: a file per segment, named after the segment's source file where there is one, or partitions.
    Directory(String),
    /// An object of an object store, or a folder of objects.
    Objects(Box<ObjectSink>),
    /// Standard output.
    Stdout,
    /// A topic of Apache Kafka, which records are appended to.
    Kafka(Box<KafkaSink>),
    /// A table of a database.
    Database(Box<DatabaseSink>),
    /// A Delta table.
    Delta(Box<DeltaSink>),
}
