//! Merges that take rows: where the partials of segments have about as many rows as the segments, making, storing and reading them takes
//! longer than what they save. The lowest merges are then given the rows below them, in one instance, and give what they give in any case.

use std::ops::Range;

use flowc_planner::plan::{Code, Stage};

use super::{TaskPlanner, lone};
use crate::location::Lookup;
use crate::segments::{Node, Segments};
use crate::task::{Root, StoredOutput, Task, TaskId, input_columns};

/// A partial of fewer rows costs nothing to speak of.
const MANY_ROWS: u64 = 1 << 16;

/// The standard stages whose partial of some rows has the same bytes as what the partials of any parts of these rows are merged to. Tests
/// of theirs prove it for all that they compute. All that others promise is the same result, which partials of other bytes may lead to.
const CANONICAL: [&str; 2] = ["aggregate@1", "count@1"];

/// Whether merges of a stage may take rows. What they give is then kept under the same keys as what is merged, so it has to be the same.
/// Windows have no tree of merges.
pub fn gathers(stage: &Stage) -> bool {
    let is_canonical = matches!(&stage.code, Code::Std(name) if CANONICAL.contains(&name.as_str()));
    is_canonical && stage.is_combining() && stage.inputs.len() == 1 && stage.window().is_none()
}

/// Whether a partial of so many rows, made of so many, is not worth making.
pub fn is_unreduced(taken: u64, given: u64) -> bool {
    given >= MANY_ROWS && given >= taken / 2
}

impl<L: Lookup> TaskPlanner<'_, L> {
    /// The task that makes a node right above the segments of their rows: some of their partials are missing, and with the rows of all
    /// of them it takes no longer than it would with all but those. None if partials are to be merged.
    pub(super) fn of_rows(
        &mut self,
        id: TaskId,
        tree: &Segments,
        node: Node,
        outputs: &[StoredOutput],
    ) -> Result<Option<(Task, Vec<TaskId>)>, L::Error> {
        if node.level != 1 || !self.may_take_rows(id.stage) {
            return Ok(None);
        }
        let mut lacking = 0;
        for leaf in tree.children(node) {
            let found = self.locator.lookup.columns(&tree.keys(leaf).columns)?;
            lacking += usize::from(found.iter().any(Option::is_none));
        }
        Ok((lacking > 0).then(|| self.gathered(id, tree.below(node), lacking, outputs.to_vec())))
    }

    fn may_take_rows(&self, stage: usize) -> bool {
        let of = &self.plan().stages[stage];
        if !self.unreduced.contains(&stage) || !gathers(of) || self.forced.contains(&stage) {
            return false;
        }
        let stream = of.inputs[0].stream;
        self.stored[stream.0] || self.plan().producing_stage(stream).is_none()
    }

    fn gathered(
        &mut self,
        id: TaskId,
        segments: Range<usize>,
        lacking: usize,
        outputs: Vec<StoredOutput>,
    ) -> (Task, Vec<TaskId>) {
        let stream = self.plan().stages[id.stage].inputs[0].stream;
        let columns = input_columns(self.plan(), id.stage, 0, &[]);
        let mut after = Vec::new();
        for segment in segments.clone() {
            self.want(stream, segment, &columns);
            after.extend(self.tasks_for(stream, segment));
        }
        let mut task = lone(id, outputs);
        task.root = Root::Segments { stream, segments, columns, lacking };
        (task, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_partials_with_about_as_many_rows_as_they_are_made_of_are_unreduced() {
        assert!(is_unreduced(500_000, 480_000));
        assert!(is_unreduced(500_000, 250_000));
        assert!(!is_unreduced(500_000, 200_000), "each row stands for more than two");
        assert!(!is_unreduced(1000, 1000), "few rows");
    }
}
