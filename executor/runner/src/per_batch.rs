//! Stages that answer batch by batch.

use crate::{Batch, Instance, Outlet, StageError};

/// A stage that gives for a batch what it ever gives for it, and keeps nothing back. Boundaries and ends pass through it to its outlet, so
/// this is all that there is to say of it.
pub trait PerBatch: Send {
    /// Gives what it has for one batch of an input.
    ///
    /// # Errors
    /// As [`Instance::push`].
    fn push(&mut self, port: usize, batch: Batch, outlet: &mut dyn Outlet) -> Result<(), StageError>;

    /// The instance of this stage before an outlet.
    fn before(self, outlet: Box<dyn Outlet>) -> Box<dyn Instance>
    where
        Self: Sized + 'static,
    {
        Box::new(Answering { stage: self, outlet })
    }
}

struct Answering<S> {
    stage: S,
    outlet: Box<dyn Outlet>,
}

impl<S: PerBatch> Instance for Answering<S> {
    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.stage.push(port, batch, &mut *self.outlet)
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.outlet.boundary()
    }

    fn end_of_input(&mut self, _: usize) -> Result<(), StageError> {
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), StageError> {
        self.outlet.close()
    }
}
