//! What the text says of keeping a stage's results.

use serde::{Deserialize, Serialize};

/// What the text says of keeping a stage's results (`cache`). Those of a stage that is [`Open`](crate::plan::Purity::Open) may
/// depend on more than their keys say, so a later run takes them only where this says so, and as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cache {
    /// `#true`: its outputs are kept in the store even where they need not be. They are taken as they are, for good.
    Flag(bool),
    /// `"1h"`: the same, for so long.
    For {
        /// Milliseconds since the run that made them began.
        ttl_ms: u64,
    },
}

impl Cache {
    /// Whether outputs are kept even where they need not be.
    pub fn is_stored(self) -> bool {
        self != Self::default()
    }

    /// Whether results are taken as they are, whatever they depend on.
    pub fn is_pinned(self) -> bool {
        self == Self::Flag(true)
    }

    /// Whether results of this age are taken as they are.
    pub fn takes(self, age_ms: u64) -> bool {
        match self {
            Self::Flag(taken) => taken,
            Self::For { ttl_ms } => age_ms < ttl_ms,
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::Flag(false)
    }
}
