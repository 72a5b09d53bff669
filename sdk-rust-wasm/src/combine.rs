//! Stages that combine: a partial per segment, merged in a tree, then the result.

use crate::arrow::array::ArrayRef;
use crate::arrow::datatypes::SchemaRef;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::columns::{Column, Columns};
use crate::description::{Class, Description, Input, Output};
use crate::map::only;
use crate::outputs::Outputs;
use crate::problem::Result;
use crate::stage::{Opening, Phase, Stage};

/// Gathers rows into a state that can be written down as a partial, merged with others, and finished.
///
/// The result must not depend on how rows are cut into segments, nor on the shape of the tree of merges: segments are
/// cached and merged in groups. Exported as `flowc_sdk::export!(Combining<MyStage>)`.
pub trait Combine: Sized + 'static {
    /// What the pipeline's text configures.
    type Config: DeserializeOwned + JsonSchema;
    /// One paragraph for people.
    const DOC: &'static str;

    /// Which columns are read, what a partial looks like, and what the result looks like.
    ///
    /// # Errors
    /// What is wrong with the config or the input.
    fn describe(config: &Self::Config, input: &Columns) -> Result<Combination>;

    /// An empty state. `columns` are those read, or those of a partial in [`Phase::Merge`] and [`Phase::Finish`].
    ///
    /// # Errors
    /// What keeps the stage from starting.
    fn new(config: Self::Config, columns: Columns, phase: Phase) -> Result<Self>;

    /// Adds rows of the input: the columns read, in the input's order.
    ///
    /// # Errors
    /// What is wrong with the rows.
    fn add(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()>;

    /// Adds rows of a partial.
    ///
    /// # Errors
    /// What is wrong with the partial.
    fn merge(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()>;

    /// Writes the state to port 0 as a partial.
    ///
    /// # Errors
    /// If the state is more than can be written.
    fn partial(&mut self, outputs: &mut Outputs) -> Result<()>;

    /// Writes the result.
    ///
    /// # Errors
    /// If the result is more than can be written.
    fn finish(&mut self, outputs: &mut Outputs) -> Result<()>;
}

/// What a [`Combine`] reads and writes.
#[derive(Clone, Debug)]
pub struct Combination {
    /// The columns read.
    pub reads: Vec<Column>,
    /// Columns of a partial.
    pub partial: SchemaRef,
    /// Columns of the result.
    pub result: SchemaRef,
}

/// The [`Stage`] that a [`Combine`] makes.
pub struct Combining<T> {
    state: T,
    phase: Phase,
}

impl<T: Combine> Stage for Combining<T> {
    type Config = T::Config;
    const DOC: &'static str = T::DOC;

    fn describe(config: &T::Config, inputs: &[Columns]) -> Result<Description> {
        let combination = T::describe(config, only(inputs)?)?;
        let output = Output::made(&combination.result);
        let input = Input::new(Class::Combining, &combination.reads);
        Ok(Description::new([input], [output]).with_partial(combination.partial))
    }

    fn open(config: T::Config, opening: Opening) -> Result<Self> {
        Ok(Self { state: T::new(config, opening.columns(0), opening.phase)?, phase: opening.phase })
    }

    fn push(&mut self, _port: usize, batch: Batch, _outputs: &mut Outputs) -> Result<()> {
        let (columns, rows) = (batch.read_all()?, batch.rows());
        match self.phase {
            Phase::Run | Phase::Partial => self.state.add(&columns, rows),
            Phase::Merge | Phase::Finish => self.state.merge(&columns, rows),
        }
    }

    fn finish(&mut self, outputs: &mut Outputs) -> Result<()> {
        match self.phase {
            Phase::Partial | Phase::Merge => self.state.partial(outputs),
            Phase::Run | Phase::Finish => self.state.finish(outputs),
        }
    }
}
