//! Which Delta tables a source reads.

use serde::{Deserialize, Serialize};

use super::ObjectAddress;

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

impl std::fmt::Display for TablePlace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => formatter.write_str(path),
            Self::Objects(address) => address.fmt(formatter),
        }
    }
}
