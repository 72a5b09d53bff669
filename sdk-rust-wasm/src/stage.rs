//! The general trait: what every stage is in the end.

use crate::arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::columns::Columns;
use crate::description::Description;
use crate::outputs::Outputs;
use crate::problem::Result;

/// The part of a stage's life that an instance serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Inputs to outputs.
    Run,
    /// Combining: one segment to one partial.
    Partial,
    /// Combining: several partials to one.
    Merge,
    /// Combining: the last partial to the outputs.
    Finish,
}

/// What an instance is opened with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Per input the columns that the stage declared to read, and no others; partials in the later phases.
    pub inputs: Vec<SchemaRef>,
    /// The part of the stage's life.
    pub phase: Phase,
    /// The number of this invocation, for a stage without inputs.
    pub part: u64,
}

impl Opening {
    /// The columns read of an input, to look up by name.
    pub fn columns(&self, port: usize) -> Columns {
        let schema = self
            .inputs
            .get(port)
            .cloned()
            .unwrap_or_else(|| std::sync::Arc::new(crate::arrow::datatypes::Schema::empty()));
        Columns { port, schema }
    }
}

/// A stage with any number of inputs and outputs. A value of the type is one invocation.
///
/// Most stages are simpler: see [`crate::MapColumns`], [`crate::FilterRows`] and [`crate::Combine`].
pub trait Stage: Sized + 'static {
    /// What the pipeline's text configures.
    type Config: DeserializeOwned + JsonSchema;
    /// One paragraph for people.
    const DOC: &'static str;
    /// Names of the input ports.
    const INPUTS: &'static [&'static str] = &["in"];
    /// Names of the output ports.
    const OUTPUTS: &'static [&'static str] = &["out"];

    /// What the stage does with this config and these inputs. Pure.
    ///
    /// # Errors
    /// What is wrong with the config or the inputs.
    fn describe(config: &Self::Config, inputs: &[Columns]) -> Result<Description>;

    /// Starts an invocation.
    ///
    /// # Errors
    /// What keeps the stage from starting.
    fn open(config: Self::Config, opening: Opening) -> Result<Self>;

    /// Takes a batch of an input. Inputs come one after the other, those that are whole first.
    ///
    /// # Errors
    /// What is wrong with the batch.
    fn push(&mut self, port: usize, batch: Batch, outputs: &mut Outputs) -> Result<()>;

    /// An input has no more rows in this invocation.
    ///
    /// # Errors
    /// What is wrong with the input as a whole.
    fn end_of_input(&mut self, _port: usize, _outputs: &mut Outputs) -> Result<()> {
        Ok(())
    }

    /// Nothing more will come: emit what is left.
    ///
    /// # Errors
    /// What is wrong with the inputs as a whole.
    fn finish(&mut self, _outputs: &mut Outputs) -> Result<()> {
        Ok(())
    }
}
