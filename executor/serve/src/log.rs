//! What is told of queries.

use std::time::Duration;

/// Takes what is told. It holds no token.
pub trait QueryLog: Send + Sync {
    /// A query is over.
    fn finished(&self, report: &QueryReport);
}

/// A query that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryReport {
    /// The statement, or the name of the table.
    pub query: String,
    /// Rows that were sent.
    pub rows: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// How long it took, waiting for the client included.
    pub took: Duration,
    /// Why it failed, in words; none if it did not.
    pub error: Option<String>,
}
