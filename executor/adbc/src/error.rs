//! What can go wrong with a database: the reason, and what to do.

use std::path::PathBuf;

/// Why a database can't be reached, read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no such driver.
    #[error("there is no ADBC driver `{driver}`: {reason}")]
    Driver {
        /// As the text names it.
        driver: String,
        /// Where it was looked for, and what to do.
        reason: String,
    },
    /// The file of a database is not there.
    #[error("the database `{file}` does not exist (looked for {})", path.display())]
    Missing {
        /// As the text names it.
        file: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A secret that can't be had.
    #[error("the secret `{secret}` is missing: {reason}")]
    Secret {
        /// The name of the secret.
        secret: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The driver's process could not be started.
    #[error("the process for the driver could not be started: {0}")]
    Start(String),
    /// The driver's process has ended.
    #[error("the driver `{driver}` has crashed ({how}){}", said(lines))]
    Crashed {
        /// As the text names it.
        driver: String,
        /// How the process ended.
        how: String,
        /// What it printed last.
        lines: Vec<String>,
    },
    /// The database, or its driver, has refused.
    #[error("{message}{}", state(sqlstate))]
    Refused {
        /// In the words of the driver.
        message: String,
        /// The code that SQL has for it, if the driver tells one.
        sqlstate: Option<String>,
    },
    /// The database has bytes in a column of texts.
    #[error(
        "row {row}: the column `{column}` has a text that is not UTF-8; mend it in the database, or read the bytes by a `query` that \
         casts the column, such as `{cast}`"
    )]
    NotUtf8 {
        /// The column's name.
        column: String,
        /// The row of the query, from 1.
        row: u64,
        /// What makes bytes of the column in the SQL of the database.
        cast: String,
    },
    /// The driver does not give what it says.
    #[error("the driver `{driver}` is not to be trusted: {reason}")]
    Lies {
        /// As the text names it.
        driver: String,
        /// What is wrong with it, as a part of the message.
        reason: String,
    },
}

fn said(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("; it printed: {}", lines.join(" / ")) }
}

fn state(sqlstate: &Option<String>) -> String {
    sqlstate.as_ref().map_or_else(String::new, |state| format!(" (SQLSTATE {state})"))
}
