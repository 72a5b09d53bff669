//! In place of what builds `rust` stages, in a flowc that was built without the feature `rust`.

use std::path::Path;

use flowc_planner::catalogue::Problem;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Code;
use flowc_runner::{CodeContext, Located, not_built};
use flowc_store::Store;

/// In the place of the builder: refuses each crate.
pub(super) struct Crates;

impl Crates {
    /// A builder that keeps nothing in the store.
    pub(super) fn new(_: &Store) -> Self {
        Self
    }

    /// Refuses the crate.
    ///
    /// # Errors
    /// Always: the feature is missing.
    pub(super) fn locate(
        &self,
        _: &Code,
        _: &Path,
        _: &dyn CodeContext,
        _: impl FnOnce(Vec<u8>) -> StageDigest,
    ) -> Result<Located, Problem> {
        Err(not_built("rust"))
    }
}
