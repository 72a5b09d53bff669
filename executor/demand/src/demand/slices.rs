//! Windows of stages that combine: a task for each window, and before them one for each segment whose slices lack partials.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowc_planner::key::ColumnKey;

use super::{TaskPlanner, lone};
use crate::location::Lookup;
use crate::sliced::{SliceOf, Slices, columns_of_slices};
use crate::task::{Root, StoredOutput, Task, TaskId, Work};

impl<L: Lookup> TaskPlanner<'_, L> {
    /// The slices whose partials the windows of a stage merge. One that is forced is given the rows of each window: nothing that it made
    /// before is taken.
    pub(super) fn slices(&self, stage: usize) -> Option<Arc<Slices>> {
        let is_forced = self.forced.contains(&stage);
        self.locator.datasets.slices.get(&stage).filter(|_| !is_forced).cloned()
    }

    /// A task that finishes a window, out of the partials of its slices. Those that are missing become tasks of their own.
    pub(super) fn of_slices(
        &mut self,
        id: TaskId,
        window: usize,
        slices: &Slices,
        outputs: Vec<StoredOutput>,
    ) -> Result<(Task, Vec<TaskId>), L::Error> {
        if !self.partials.contains_key(&id.stage) {
            let found = self.look_up(slices)?;
            self.partials.insert(id.stage, found);
        }
        let of_window: Vec<(usize, &SliceOf)> = slices.of_window(window).collect();
        let is_there = |place: usize| self.partials[&id.stage][place];
        let lacking: Vec<(usize, &SliceOf)> =
            of_window.iter().copied().filter(|(place, _)| !is_there(*place)).collect();
        let after: BTreeSet<TaskId> =
            lacking.into_iter().map(|(place, of)| self.supply_slice(id.stage, place, of)).collect();
        let mut task = lone(id, outputs);
        task.root = Root::Partials(of_window.into_iter().map(|(_, of)| of.partial.clone()).collect());
        Ok((task, after.into_iter().collect()))
    }

    /// Whether the partial of each slice is there. Asking for all at once is faster than asking window by window.
    fn look_up(&self, slices: &Slices) -> Result<Vec<bool>, L::Error> {
        let all = slices.all();
        let columns: Vec<ColumnKey> = all.iter().flat_map(|of| of.partial.columns.iter().copied()).collect();
        let mut found = self.locator.lookup.columns(&columns)?.into_iter();
        let is_there = |of: &SliceOf| {
            let width = of.partial.columns.len();
            found.by_ref().take(width).filter(Option::is_some).count() == width
        };
        Ok(all.iter().map(is_there).collect())
    }

    /// Has the partial of a slice made, with others of the segment.
    fn supply_slice(&mut self, stage: usize, place: usize, of: &SliceOf) -> TaskId {
        let id = TaskId { stage, work: Work::Slices(of.segment) };
        if !self.sliced.insert((stage, place)) {
            return id;
        }
        if !self.tasks.contains_key(&id) {
            let (stream, columns) = (self.plan().stages[stage].inputs[0].stream, columns_of_slices(self.plan(), stage));
            self.want(stream, of.segment, &columns);
            let mut task = lone(id, Vec::new());
            task.root = Root::Segment { stream, segment: of.segment, columns };
            self.tasks.insert(id, (task, self.tasks_for(stream, of.segment)));
        }
        let schema = self.plan().stages[stage].partial.clone();
        if let (Some((task, _)), Some(schema)) = (self.tasks.get_mut(&id), schema) {
            let columns: Vec<usize> = (0..schema.fields().len()).collect();
            task.chain[0].needed.push(vec![true; columns.len()]);
            task.outputs.push(StoredOutput { schema, keys: of.partial.clone(), columns });
            task.slices.push(of.slice);
        }
        id
    }
}
