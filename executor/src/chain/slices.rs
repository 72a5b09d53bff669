//! Makes the partials of the slices of a segment: what windows have in common of it.

use flowc_demand::{Root, Task};
use flowc_planner::key::Phase;
use flowc_runner::{Batch, Instance, Outlet, PerBatch, StageError};

use crate::Error;
use crate::chain::chains::{ChainError, Chains};
use crate::chain::running::check;
use crate::chain::windows::{NoRows, SharedOutlet};
use crate::inputs::ranges::SegmentRows;

/// Gives what an instance gives on its one port to another port.
struct OnPort {
    port: usize,
    outlet: SharedOutlet,
}

impl Outlet for OnPort {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        self.outlet.emit(self.port, batch)
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, level: &str, message: &str) {
        self.outlet.log(level, message);
    }
}

impl Chains<'_> {
    /// Runs a combining stage over each slice of a segment: the partial of each is on a port of its own. What is given back only closes
    /// the outlet.
    pub(crate) fn run_slices(&self, task: &Task, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, ChainError> {
        let stage = self.plan_stage(task.id.stage);
        let (Root::Segment { stream, segment, columns }, Some(window)) = (&task.root, stage.window()) else {
            return Ok(NoRows.before(outlet));
        };
        let mut batches = Vec::new();
        for batch in self.reading.segment(*stream, *segment, columns)? {
            check(self.cancel)?;
            batches.push(batch?);
        }
        let rows = SegmentRows::new(batches);
        let layout = rows.layout(window);
        let shared = SharedOutlet::new(outlet);
        let invocation = self.invocation(task, &task.chain[0], Phase::Partial);
        for (port, slice) in task.slices.iter().enumerate() {
            let outlet = Box::new(OnPort { port, outlet: shared.clone() });
            let mut instance = self.runners.of(stage).open(&invocation, outlet)?;
            for (first, batch) in
                rows.picked(&layout.rows(window, slice)).map_err(Error::internal("picking a slice"))?
            {
                check(self.cancel)?;
                let end = first + batch.rows() as u64;
                let pushed = instance.push(0, batch.only(&stage.inputs[0].reads));
                pushed.map_err(|error| error.at(0, first..end))?;
            }
            instance.end_of_input(0)?;
            instance.finish()?;
        }
        let outlet = shared.take().ok_or_else(|| Error::Lost("the outlet of slices is gone".into()))?;
        Ok(NoRows.before(outlet))
    }
}
