//! Values that a format has no words for.

use std::fmt;

/// A value of a batch that would not be read back as what it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Its row in the batch, from 0.
    pub(crate) row: usize,
    /// Its column at the top level.
    pub(crate) column: String,
    /// Why, and what to do.
    pub(crate) reason: String,
}

impl Misfit {
    pub(crate) fn new(row: usize, column: &str, reason: impl Into<String>) -> Self {
        Self { row, column: column.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} of a batch, column `{}`: {}", self.row + 1, self.column, self.reason)
    }
}

impl std::error::Error for Misfit {}
