//! Which Delta tables a source reads, and which a sink writes.

use serde::{Deserialize, Serialize};

use super::{ChangedRows, ObjectAddress, WriteMode};

/// A Delta table, and how its store is reached. Credentials are never part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaTable {
    /// Where it is.
    pub place: TablePlace,
    /// The region of the bucket, if the text names one.
    pub region: Option<String>,
    /// The URL of the service, if the text names one.
    pub endpoint: Option<String>,
    /// Whether requests carry no credentials.
    pub anonymous: bool,
}

/// The folder of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TablePlace {
    /// A folder of this machine, relative to the pipeline's unless absolute.
    Folder(String),
    /// What the keys of its objects start with, without the slash.
    Objects(ObjectAddress),
}

/// A version of a Delta table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaSource {
    /// The table.
    pub table: DeltaTable,
    /// The version; without one it is the newest when a run begins.
    pub version: Option<u64>,
}

/// A Delta table that a sink writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaSink {
    /// The table.
    pub table: DeltaTable,
    /// What is done to its rows: [`WriteMode::Append`] or [`WriteMode::Replace`].
    pub mode: WriteMode,
    /// Tells the sink from others that write to the table.
    pub id: String,
    /// What becomes of rows that were appended and have changed.
    pub changed: ChangedRows,
}

impl std::fmt::Display for TablePlace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => formatter.write_str(path),
            Self::Objects(address) => address.fmt(formatter),
        }
    }
}
