//! What flowc and the program that serves SQL stages tell each other within the stage protocol.

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

/// The catalog that tables are in, where a statement says it: `flowc.public.orders`.
pub const CATALOG: &str = "flowc";
/// The schema that tables are in.
pub const SCHEMA: &str = "public";

/// A stage of the program. It stands in the place of a stage's name, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The statement as its author wrote it, which problems point into.
    pub written: String,
    /// The statement as it is hashed and run. None where the program is asked for it: it answers with it in the place of the
    /// stage's documentation, and with those tables that the statement reads as inputs.
    pub normal: Option<String>,
    /// The names of the tables, one per input.
    pub tables: Vec<String>,
}

impl Query {
    /// As the name of a stage.
    pub fn name(&self) -> String {
        serde_json::to_string(self).expect("it is plain data")
    }

    /// Whether the program is asked which tables the statement reads. It answers with them in the place of the stage's inputs.
    pub fn is_asked_for_tables(&self) -> bool {
        self.normal.is_none() && self.tables.is_empty()
    }

    /// What a name means.
    ///
    /// # Errors
    /// If it is no query.
    pub fn named(name: &str) -> serde_json::Result<Self> {
        serde_json::from_str(name)
    }
}

/// The config of an invocation. A statement is planned with all columns of its tables, and an instance is told only of those that
/// it reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opening {
    /// The config of the stage.
    pub config: serde_json::Value,
    /// All columns of each input.
    pub tables: Vec<SchemaRef>,
}
