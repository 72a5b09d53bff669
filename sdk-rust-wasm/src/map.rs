//! Stages that write columns beside the rows that they read.

use crate::arrow::array::ArrayRef;
use crate::arrow::datatypes::FieldRef;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::columns::{Column, Columns};
use crate::description::{Class, Description, Input, Output};
use crate::outputs::Outputs;
use crate::problem::{Problem, Result};
use crate::stage::{Opening, Stage};

/// Reads some columns of each row and writes others: the same rows, all other columns passed on untouched.
///
/// The type itself is the config. Exported as `flowc_sdk::export!(Map<MyStage>)`.
pub trait MapColumns: DeserializeOwned + JsonSchema + 'static {
    /// One paragraph for people.
    const DOC: &'static str;

    /// Which columns are read, and what is written. Every column that is looked up here must be read: when the stage
    /// runs, it is asked again with those columns alone.
    ///
    /// # Errors
    /// What is wrong with the config or the columns.
    fn describe(&self, input: &Columns) -> Result<Mapping>;

    /// The columns written, from those read, in the order of the mapping; all of one length.
    ///
    /// # Errors
    /// What is wrong with the rows.
    fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>>;
}

/// What a [`MapColumns`] reads and writes.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    reads: Vec<Column>,
    writes: Vec<FieldRef>,
}

impl Mapping {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a column.
    #[must_use]
    pub fn read(mut self, column: Column) -> Self {
        self.reads.push(column);
        self
    }

    /// Writes a column: in the place of the one with that name, or at the end.
    #[must_use]
    pub fn write(mut self, field: impl Into<FieldRef>) -> Self {
        self.writes.push(field.into());
        self
    }
}

/// The [`Stage`] that a [`MapColumns`] makes.
pub struct Map<T> {
    stage: T,
    reads: Vec<usize>,
}

impl<T: MapColumns> Stage for Map<T> {
    type Config = T;
    const DOC: &'static str = T::DOC;

    fn describe(config: &T, inputs: &[Columns]) -> Result<Description> {
        let input = only(inputs)?;
        let mapping = config.describe(input)?;
        let output = Output::same(input).pass_all(&input.all()).write_all(mapping.writes);
        Ok(Description::new([Input::new(Class::RowWise, &mapping.reads)], [output]))
    }

    fn open(stage: T, opening: Opening) -> Result<Self> {
        let reads = stage.describe(&opening.columns(0))?.reads.iter().map(|column| column.index).collect();
        Ok(Self { stage, reads })
    }

    fn push(&mut self, _port: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let written = self.stage.map(&batch.read(&self.reads)?)?;
        outputs.emit(0, batch.derive(0, &written)?)
    }
}

pub(crate) fn only(inputs: &[Columns]) -> Result<&Columns> {
    inputs.first().ok_or_else(|| Problem::new("the stage takes one input"))
}
