//! In place of what builds `rust` stages, in a flowc that was built without the feature `rust`.

use std::path::Path;

use flowc_planner::catalogue::Problem;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Code;
use flowc_runner::{CodeContext, Located, not_built};
use flowc_store::Store;

/// Builds nothing.
pub(super) struct Crates;

impl Crates {
    /// Nothing is kept.
    pub(super) fn new(_: &Store) -> Self {
        Self
    }

    /// Says what is missing.
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
