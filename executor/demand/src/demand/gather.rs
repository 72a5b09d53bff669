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
pub fn gathers(stage: &Stage) -> bool {
    let is_canonical = matches!(&stage.code, Code::Std(name) if CANONICAL.contains(&name.as_str()));
    is_canonical && stage.is_combining() && stage.inputs.len() == 1
}

/// Whether a partial of so many rows, made of so many, is not worth making.
pub fn is_unreduced(taken: u64, given: u64) -> bool {
    given >= MANY_ROWS && given >= taken / 2
}

impl<L: Lookup> TaskPlanner<'_, L> {
    /// Whether the merge of this number right above the segments is to take their rows: some of their partials are missing. Then it takes
    /// no longer than it would with all but those.
    pub(super) fn takes_rows(&self, stage: usize, tree: &Segments, index: usize) -> Result<bool, L::Error> {
        let of = &self.plan().stages[stage];
        if !self.unreduced.contains(&stage) || !gathers(of) || self.forced.contains(&stage) {
            return Ok(false);
        }
        let stream = of.inputs[0].stream;
        if !self.stored[stream.0] && self.plan().producing_stage(stream).is_some() {
            return Ok(false);
        }
        let partials = tree.children(Node { level: 1, index }).map(|leaf| tree.keys(leaf));
        let columns: Vec<_> = partials.flat_map(|keys| keys.columns.to_vec()).collect();
        Ok(self.locator.lookup.columns(&columns)?.iter().any(Option::is_none))
    }

    /// A task that makes a partial of the rows of some segments.
    pub(super) fn of_rows(
        &mut self,
        id: TaskId,
        segments: Range<usize>,
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
        task.root = Root::Segments { stream, segments, columns };
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
