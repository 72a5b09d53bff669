//! What a run found of its asserts.

use flowc_planner::plan::OnFailure;

use crate::AssertReport;

/// What was found of an assert.
#[derive(Clone)]
pub(crate) struct Checked {
    /// What the run tells of it.
    pub report: AssertReport,
    /// The rows in words, if there are some.
    pub broken: Option<String>,
}

impl Checked {
    /// Whether it keeps the run from going well.
    pub(crate) fn fails(&self) -> bool {
        self.broken.is_some() && self.report.on_failure == OnFailure::Fail
    }
}
