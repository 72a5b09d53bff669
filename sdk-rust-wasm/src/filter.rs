//! Stages that pick rows.

use crate::arrow::array::{ArrayRef, BooleanArray};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::columns::{Column, Columns};
use crate::description::{Class, Description, Input, Output};
use crate::map::only;
use crate::outputs::Outputs;
use crate::problem::Result;
use crate::stage::{Opening, Stage};

/// Reads some columns of each row and says which rows stay, with all their columns.
///
/// The type itself is the config. Exported as `flowc_sdk::export!(Filter<MyStage>)`.
pub trait FilterRows: DeserializeOwned + JsonSchema + 'static {
    /// One paragraph for people.
    const DOC: &'static str;

    /// Which columns are read. When the stage runs, it is asked again with those columns alone, and may then keep what
    /// it needs of them.
    ///
    /// # Errors
    /// What is wrong with the config or the columns.
    fn describe(&mut self, input: &Columns) -> Result<Vec<Column>>;

    /// Which rows stay: those where the mask is true. `columns` are in the order of [`FilterRows::describe`].
    ///
    /// # Errors
    /// What is wrong with the rows.
    fn keep(&mut self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray>;
}

/// The [`Stage`] that a [`FilterRows`] makes.
pub struct Filter<T> {
    stage: T,
    reads: Vec<usize>,
}

impl<T: FilterRows + Clone> Stage for Filter<T> {
    type Config = T;
    const DOC: &'static str = T::DOC;

    fn describe(config: &T, inputs: &[Columns]) -> Result<Description> {
        let input = only(inputs)?;
        let reads = config.clone().describe(input)?;
        Ok(Description::new([Input::new(Class::RowWise, &reads)], [Output::subset(input).pass_all(&input.all())]))
    }

    fn open(mut stage: T, opening: Opening) -> Result<Self> {
        let reads = stage.describe(&opening.columns(0))?.iter().map(|column| column.index).collect();
        Ok(Self { stage, reads })
    }

    fn push(&mut self, _port: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let mask = self.stage.keep(&batch.read(&self.reads)?, batch.rows())?;
        match mask.true_count() {
            0 => Ok(()),
            _ => outputs.emit(0, batch.filter(&mask)?.derive(0, &[])?),
        }
    }
}
