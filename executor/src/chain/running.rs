//! The open stages of a pass. Batches are pushed through them, up to a boundary or to the end.

use flowc_runner::{Batch, Instance, StageError};

use crate::chain::chains::ChainError;
use crate::{Cancel, Error};

/// Stages that are open. They may be kept open for as long as there is something to push; a task is one pass through them, with
/// one boundary, which follows its last batch.
pub(crate) struct Running<'a> {
    first: Box<dyn Instance>,
    /// The input of the first stage that is pushed into, if there is one.
    port: Option<usize>,
    /// Rows that were pushed.
    rows: u64,
    cancel: &'a Cancel,
}

impl<'a> Running<'a> {
    /// Nothing is pushed yet.
    pub(crate) fn new(first: Box<dyn Instance>, port: Option<usize>, cancel: &'a Cancel) -> Self {
        Self { first, port, rows: 0, cancel }
    }

    /// Pushes a batch into the first stage, which pushes into the rest.
    ///
    /// # Errors
    /// If a stage fails, or the run was stopped.
    pub(crate) fn push(&mut self, batch: Batch) -> Result<(), ChainError> {
        check(self.cancel)?;
        Ok(push_counted(self.first.as_mut(), self.port.unwrap_or(0), batch, &mut self.rows)?)
    }

    /// Waits until all that was pushed has gone through all stages. Timeouts and limits of logs count anew from here.
    ///
    /// # Errors
    /// If a stage fails over what was pushed.
    pub(crate) fn boundary(&mut self) -> Result<(), ChainError> {
        Ok(self.first.boundary()?)
    }

    /// Ends the input and the stages.
    ///
    /// # Errors
    /// If a stage fails, or what it gave can't be kept.
    pub(crate) fn finish(mut self) -> Result<(), ChainError> {
        if let Some(port) = self.port {
            self.first.end_of_input(port)?;
        }
        Ok(self.first.finish()?)
    }
}

/// Pushes a batch. A failure says which rows it was about; `rows` counts them.
pub(crate) fn push_counted(
    instance: &mut dyn Instance,
    port: usize,
    batch: Batch,
    rows: &mut u64,
) -> Result<(), StageError> {
    let first = *rows;
    *rows += batch.rows() as u64;
    instance.push(port, batch).map_err(|error| error.at(port, first..*rows))
}

/// Fails where the run was stopped.
pub(crate) fn check(cancel: &Cancel) -> Result<(), ChainError> {
    if cancel.is_cancelled() { Err(ChainError::Other(Error::Cancelled)) } else { Ok(()) }
}
