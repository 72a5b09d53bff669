//! What is noticed of a file when it is opened.

use serde::{Deserialize, Serialize};

/// What was noticed of a file when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileNotes {
    /// Columns that it has and the source has not.
    pub unknown_columns: Vec<String>,
    /// Columns that the names of its folders have, and nothing reads.
    pub unread_folders: Vec<String>,
    /// Why it may be read in the wrong dialect, and what to set.
    pub doubt: Option<String>,
}
