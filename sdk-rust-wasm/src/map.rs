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

    /// The columns written, from those read, in the order of the mapping; all of one length. The mapping may list columns in
    /// another order than the input has them.
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

    /// The columns of the input in whose places several columns are written. They are read too: their order, which is that
    /// of the input, is known to an instance only so.
    fn replaced(&self, input: &Columns) -> Vec<Column> {
        let is_written = |column: &Column| self.writes.iter().any(|field| field.name() == column.name());
        match self.writes.len() {
            0 | 1 => Vec::new(),
            _ => input.all().into_iter().filter(is_written).collect(),
        }
    }

    /// The written columns in the order of the output: in the places of the input's columns, then at the end.
    fn order(&self, input: &Columns) -> Vec<usize> {
        let place = |field: &FieldRef| {
            let replaced = input.schema.fields().iter().position(|other| other.name() == field.name());
            (replaced.is_none(), replaced)
        };
        let mut order: Vec<usize> = (0..self.writes.len()).collect();
        order.sort_by_key(|&number| place(&self.writes[number]));
        order
    }
}

/// The [`Stage`] that a [`MapColumns`] makes.
pub struct Map<T> {
    stage: T,
    reads: Vec<usize>,
    /// The written columns in the order of the output, by their numbers in the mapping.
    order: Vec<usize>,
}

impl<T: MapColumns> Stage for Map<T> {
    type Config = T;
    const DOC: &'static str = T::DOC;

    fn describe(config: &T, inputs: &[Columns]) -> Result<Description> {
        let input = only(inputs)?;
        let mapping = config.describe(input)?;
        let (reads, replaced) = (mapping.reads.clone(), mapping.replaced(input));
        let output = Output::same(input).pass_all(&input.all()).write_all(mapping.writes.clone());
        if output.written().len() < mapping.writes.len() {
            return Err(Problem::new("the mapping writes two columns of one name"));
        }
        Ok(Description::new([Input::new(Class::RowWise, reads.iter().chain(&replaced))], [output]))
    }

    fn open(stage: T, opening: Opening) -> Result<Self> {
        let columns = opening.columns(0);
        let mapping = stage.describe(&columns)?;
        let order = mapping.order(&columns);
        let reads = mapping.reads.iter().map(|column| column.index).collect();
        Ok(Self { stage, reads, order })
    }

    fn push(&mut self, _port: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let written = self.stage.map(&batch.read(&self.reads)?)?;
        if written.len() != self.order.len() {
            let message = format!("the mapping writes {} columns, but {} were given", self.order.len(), written.len());
            return Err(Problem::new(message));
        }
        let written: Vec<ArrayRef> = self.order.iter().map(|&place| written[place].clone()).collect();
        outputs.emit(0, batch.derive(0, &written)?)
    }
}

pub(crate) fn only(inputs: &[Columns]) -> Result<&Columns> {
    inputs.first().ok_or_else(|| Problem::new("the stage takes one input"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use crate::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use crate::prelude::*;

    /// Writes, into each column that is named, its place in the list.
    #[derive(serde::Deserialize, JsonSchema)]
    struct Numbered {
        read: String,
        write: Vec<String>,
    }

    impl MapColumns for Numbered {
        const DOC: &'static str = "Numbers columns.";

        fn describe(&self, input: &Columns) -> Result<Mapping> {
            let mapping = Mapping::new().read(input.find("/read", &self.read)?);
            Ok(self.write.iter().fold(mapping, |mapping, name| mapping.write(field(name, DataType::Int64, false))))
        }

        fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
            let column = |number: usize| Arc::new(Int64Array::from(vec![number as i64; columns[0].len()])) as ArrayRef;
            Ok((0..self.write.len()).map(column).collect())
        }
    }

    fn numbered(read: &str, write: &[&str]) -> Vec<(String, i64)> {
        let column = |number: i64| Arc::new(Int64Array::from(vec![number])) as ArrayRef;
        let rows = RecordBatch::try_from_iter([("a", column(-1)), ("b", column(-2)), ("c", column(-3))]).unwrap();
        let config = json!({ "read": read, "write": write });
        let outputs = crate::testing::run::<crate::Map<Numbered>>(&config, &[vec![rows]]).unwrap();
        let value = |array: &ArrayRef| array.as_any().downcast_ref::<Int64Array>().unwrap().value(0);
        let names = outputs[0].schema();
        names
            .fields()
            .iter()
            .zip(outputs[0].columns())
            .map(|(field, array)| (field.name().clone(), value(array)))
            .collect()
    }

    #[test]
    fn columns_may_be_written_in_any_order() {
        let pairs =
            |pairs: &[(&str, i64)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect::<Vec<_>>();
        assert_eq!(numbered("a", &["b"]), pairs(&[("a", -1), ("b", 0), ("c", -3)]));
        assert_eq!(numbered("b", &["a", "b"]), pairs(&[("a", 0), ("b", 1), ("c", -3)]), "a column that is not read");
        assert_eq!(numbered("b", &["c", "a"]), pairs(&[("a", 1), ("b", -2), ("c", 0)]), "in another order");
        assert_eq!(numbered("a", &["new", "c", "b"]), pairs(&[("a", -1), ("b", 2), ("c", 1), ("new", 0)]));
        assert_eq!(numbered("a", &["y", "x"]), pairs(&[("a", -1), ("b", -2), ("c", -3), ("y", 0), ("x", 1)]));
    }

    #[test]
    fn a_column_that_is_written_twice_is_refused() {
        let schema =
            RecordBatch::try_from_iter([("a", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap().schema();
        let config = json!({ "read": "a", "write": ["b", "b"] });
        let problem = crate::testing::describe::<crate::Map<Numbered>>(&config, &[schema]).unwrap_err();
        assert_eq!(problem.message, "the mapping writes two columns of one name");
    }
}
