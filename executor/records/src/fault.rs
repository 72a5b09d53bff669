//! What can be wrong with schemas, with records, and with values that are to be written.

use crate::registry::RegistryError;

/// Why a schema gives no columns, or columns do not fit it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It can't be read.
    #[error("the schema is not valid {format}: {reason}")]
    Invalid {
        /// The format's name.
        format: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// A field that no column can hold.
    #[error("the field `{field}` of the schema {reason}")]
    Field {
        /// Its path: `user.id`, `items[].id`.
        field: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A column that no field takes.
    #[error("the column `{column}` {reason}")]
    Column {
        /// Its path.
        column: String,
        /// Why not, and what to do.
        reason: String,
    },
}

impl SchemaError {
    pub(crate) fn field(field: &str, reason: impl Into<String>) -> Self {
        Self::Field { field: field.to_owned(), reason: reason.into() }
    }

    pub(crate) fn column(column: &str, reason: impl Into<String>) -> Self {
        Self::Column { column: column.to_owned(), reason: reason.into() }
    }
}

/// Why records do not become rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A record is not what the schema says.
    #[error("{0}")]
    Record(String),
    /// The registry does not answer: nothing is known of the record.
    #[error("{0}")]
    Registry(#[from] RegistryError),
}

impl Fault {
    pub(crate) fn record(reason: impl ToString) -> Self {
        Self::Record(reason.to_string())
    }
}

/// A value that the schema has no room for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of a batch, column `{column}`: {reason}")]
pub struct ValueError {
    /// Its row in the batch, from 0.
    pub row: usize,
    /// Its column at the top level.
    pub column: String,
    /// Why, and what to do.
    pub reason: String,
}
