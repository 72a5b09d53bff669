//! The keys of what tasks give, from what they are and from the content of what they take in.

use flowc_demand::Task;
use flowc_planner::key::ColumnKey;

use crate::Error;
use crate::run::execution::{Execution, TaskKeys};

impl Execution<'_> {
    /// The keys of what some tasks give, in their order. They are for the tasks that one job does: what the store has under them is looked
    /// up here, for all at once, and is known when it is asked for task by task.
    pub(crate) fn keys_of(&self, tasks: &[&Task]) -> Vec<Result<TaskKeys, Error>> {
        let keys: Vec<Result<TaskKeys, Error>> = tasks.iter().map(|task| self.keys(task)).collect();
        if tasks.len() > 1 {
            let known = tasks.iter().zip(&keys).filter_map(|(task, keys)| Some((task, keys.as_ref().ok()?)));
            let due: Vec<ColumnKey> = known.flat_map(|(task, keys)| keys.columns(task)).collect();
            // What can't be looked up now is asked for again, by whoever needs it.
            let _ = self.contents.locator.lookup.store.find_columns(&due);
        }
        keys
    }

    fn keys(&self, task: &Task) -> Result<TaskKeys, Error> {
        let derived = self.contents.derived(task);
        let contents = self.contents.of_task(task)?.filter(|contents| *contents != derived);
        Ok(TaskKeys { derived, contents })
    }
}

impl TaskKeys {
    /// Those of the columns that are kept of the task, by content.
    fn columns<'k>(&'k self, task: &'k Task) -> impl Iterator<Item = ColumnKey> + 'k {
        let last = self.contents.as_ref().and_then(|contents| contents.last()).map_or(&[][..], Vec::as_slice);
        let ports = task.outputs.iter().zip(last);
        ports.flat_map(|(kept, keys)| kept.columns.iter().map(|&column| keys.columns[column]))
    }
}
