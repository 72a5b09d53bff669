//! In place of the exporter, in a flowc that was built without the feature `otlp`.

use super::BoxedLayer;
use crate::report::Failure;

/// There is none.
pub(crate) enum Export {}

impl Export {
    /// # Errors
    /// Always.
    pub(super) fn start() -> Result<(Self, BoxedLayer), Failure> {
        Err(Failure::command("spans cannot be exported: this flowc was built without the feature `otlp`"))
    }

    /// Never called.
    pub(super) fn finish(self) -> Option<String> {
        match self {}
    }
}
