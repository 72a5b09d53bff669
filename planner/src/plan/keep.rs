//! How long rows stand that were read from somewhere else.

use serde::{Deserialize, Serialize};

/// How long stands what was read. A server or a database does not say whether it would give other rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Each run reads them.
    #[default]
    Run,
    /// So many milliseconds from when they were read.
    For(u64),
    /// Until the text names them otherwise.
    Pinned(String),
}

impl Keep {
    /// Whether rows that were read so many milliseconds ago stand.
    pub fn takes(&self, age_ms: u64) -> bool {
        match self {
            Self::Run => false,
            Self::For(ttl_ms) => age_ms < *ttl_ms,
            Self::Pinned(_) => true,
        }
    }

    /// What the text calls rows that stand until it calls them otherwise.
    pub fn pin(&self) -> Option<&str> {
        match self {
            Self::Pinned(label) => Some(label),
            Self::Run | Self::For(_) => None,
        }
    }
}
