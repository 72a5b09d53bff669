//! Tables of databases: what a source reads of one, what a sink does to one, and how the database is reached.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Keep;
use crate::secret::SecretSource;

/// A database, as its ADBC driver finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// The driver: a name that a manifest has, or the path of a library or manifest, relative to the pipeline's folder unless absolute.
    pub driver: String,
    /// The address, or the path of a file relative to the pipeline's folder.
    pub uri: Option<String>,
    /// Options of the driver, by name.
    pub options: BTreeMap<String, String>,
    /// The secrets that the driver is given, by name.
    pub secrets: BTreeMap<String, DriverSecret>,
    /// Files and folders that the driver may read, relative to the pipeline's folder unless absolute.
    pub reads: Vec<String>,
}

/// A secret that a driver is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverSecret {
    /// Where its value is.
    pub value: SecretSource,
    /// The option that has the value; an environment variable of the secret's name where there is none.
    pub option: Option<String>,
}

/// Rows of a database that a source reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSource {
    /// The database.
    pub database: Database,
    /// The rows.
    pub rows: DatabaseRows,
    /// A column whose values only grow from row to row, as the text promises: later runs fetch the rows beyond the largest value.
    pub cursor: Option<String>,
    /// How rows are read at once by several connections.
    pub split: Option<Split>,
    /// How long rows stand that were read.
    pub keep: Keep,
}

/// Ranges of a column of integers, each of which has a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The column's name.
    pub column: String,
    /// The most ranges.
    pub most: u32,
}

/// Which rows of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseRows {
    /// Those of a table or view.
    Table {
        /// Its name, perhaps with a schema before it: `public.orders`.
        table: TableName,
        /// The columns that decide the order of the rows.
        order_by: Vec<String>,
    },
    /// The answer to a query.
    Query {
        /// The query, in the database's own SQL.
        sql: String,
        /// Values that are bound to the query's parameters.
        params: Vec<BoundValue>,
    },
}

/// The name of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The database's schema, if the text names one.
    pub schema: Option<String>,
    /// The table's name.
    pub table: String,
}

/// A value that is bound to a parameter of a query. It is never part of the query's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundValue {
    /// A text.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A number, by the bits of the 64-bit float.
    Number(u64),
    /// A boolean.
    Boolean(bool),
}

/// A table that a sink writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSink {
    /// The database.
    pub database: Database,
    /// The table.
    pub table: TableName,
    /// What is done to its rows.
    pub mode: WriteMode,
    /// The columns by which rows are told apart, for [`WriteMode::Upsert`].
    pub key: Vec<String>,
    /// Tells the sink from others that write to the table.
    pub id: String,
    /// What becomes of rows that were appended and have changed.
    pub changed: super::ChangedRows,
}

/// What a sink does to the rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteMode {
    /// Makes the table. A table of this name that the sink did not write is left alone, and refused.
    Create,
    /// Adds rows that the table does not have from this sink yet.
    Append,
    /// Makes the table hold just these rows.
    Replace,
    /// Writes each row over the one with its key, or adds it.
    Upsert,
}

impl WriteMode {
    /// Every mode, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Create, Self::Append, Self::Replace, Self::Upsert];

    /// Its name in pipelines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Upsert => "upsert",
        }
    }
}

impl Database {
    /// The file that the address names, where it is one of this machine: `app.db`, `file:app.db?mode=ro`.
    pub fn file(&self) -> Option<&str> {
        let uri = self.uri.as_deref()?;
        let path = match uri.strip_prefix("file:") {
            Some(rest) => rest.split(['?', '#']).next()?.strip_prefix("//").unwrap_or(rest.split(['?', '#']).next()?),
            None if uri.contains("://") => return None,
            None => uri,
        };
        (!path.is_empty() && path != ":memory:").then_some(path)
    }

    /// The address without what may be a password in it.
    pub fn shown_uri(&self) -> Option<String> {
        let uri = self.uri.as_deref()?;
        let Some((scheme, rest)) = uri.split_once("://") else { return Some(uri.to_owned()) };
        let (rest, _) = rest.split_once('?').unwrap_or((rest, ""));
        let end = rest.find('/').unwrap_or(rest.len());
        let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
        Some(format!("{scheme}://{}", &rest[host..]))
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uri: &str) -> Database {
        let (options, secrets, reads) = Default::default();
        Database { driver: "sqlite".to_owned(), uri: Some(uri.to_owned()), options, secrets, reads }
    }

    #[test]
    fn an_address_without_a_host_is_a_file() {
        let files = [
            ("app.db", Some("app.db")),
            ("file:app.db", Some("app.db")),
            ("file:data/app.db?mode=ro", Some("data/app.db")),
            ("file:///srv/app.db", Some("/srv/app.db")),
            (":memory:", None),
            ("", None),
            ("postgresql://db/shop", None),
        ];
        for (uri, file) in files {
            assert_eq!(of(uri).file(), file, "{uri}");
        }
    }

    #[test]
    fn no_user_and_no_option_of_an_address_is_shown() {
        let shown = [
            ("postgresql://reader:hunter2@db:5432/shop?password=hunter2", "postgresql://db:5432/shop"),
            ("postgresql://db", "postgresql://db"),
            ("grpc+tls://a@b@c:1", "grpc+tls://c:1"),
            ("app.db", "app.db"),
        ];
        for (uri, expected) in shown {
            assert_eq!(of(uri).shown_uri().as_deref(), Some(expected), "{uri}");
        }
    }
}
