//! Putting together what was counted over parts of the rows. The processor does that: it is an addition for each bin or group.

use arrow_array::ArrayRef;
use flowc_planner::key::Phase;
use flowc_runner::{Batch, Instance, Invocation, Outlet, StageError, StageFault};

use crate::counted::{BATCH_ROWS, Counted};

/// Partials that become one, or the rows of the output.
pub(crate) struct Merging {
    stage: std::sync::Arc<str>,
    counted: Counted,
    is_last: bool,
    needed: Vec<bool>,
    outlet: Box<dyn Outlet>,
}

impl Merging {
    pub(crate) fn new(invocation: &Invocation, counted: Counted, outlet: Box<dyn Outlet>) -> Self {
        let is_last = invocation.phase == Phase::Finish;
        Self { stage: invocation.stage.clone(), counted, is_last, needed: invocation.outputs[0].needed.clone(), outlet }
    }

    fn failed(&self, message: String) -> StageError {
        StageError::new(&*self.stage, StageFault::Problem { message, config_path: None })
    }
}

impl Instance for Merging {
    fn push(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        let columns: Option<Vec<ArrayRef>> = (0..self.counted.width()).map(|at| batch.column(at).cloned()).collect();
        let columns = columns.ok_or_else(|| self.failed("a column of a partial was not handed over".to_owned()))?;
        self.counted.add(&columns).map_err(|message| self.failed(message))
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.outlet.boundary()
    }

    fn end_of_input(&mut self, _: usize) -> Result<(), StageError> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), StageError> {
        let columns = if self.is_last { self.counted.output() } else { self.counted.partial() };
        let columns = columns.map_err(|error| self.failed(error.to_string()))?;
        emit(&columns, &self.needed, &mut *self.outlet)?;
        self.outlet.close()
    }
}

/// Hands rows on, in batches.
///
/// # Errors
/// Those of the outlet.
pub(crate) fn emit(columns: &[ArrayRef], needed: &[bool], outlet: &mut dyn Outlet) -> Result<(), StageError> {
    let rows = columns.first().map_or(0, |column| column.len());
    for start in (0..rows).step_by(BATCH_ROWS) {
        let count = BATCH_ROWS.min(rows - start);
        let part = |(column, needed): (&ArrayRef, &bool)| needed.then(|| column.slice(start, count));
        outlet.emit(0, Batch::new(count, columns.iter().zip(needed).map(part).collect::<Vec<_>>()))?;
    }
    Ok(())
}
