//! What a stage says about itself before it runs.

use std::sync::Arc;

use crate::arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use crate::columns::{Column, Columns};
use crate::problem::{Problem, Result};

/// What a stage needs of an input before it can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A row gives zero, one or many rows, from itself alone.
    RowWise,
    /// All rows of a segment.
    PerSegment,
    /// A partial per segment, then merges.
    Combining,
    /// The rows of a key together.
    Keyed,
    /// All rows.
    Whole,
}

/// What an output does to the rows of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// The same rows in the same order.
    Same(usize),
    /// Rows picked from this input's.
    Subset(usize),
    /// Rows of the stage's own making.
    New,
}

/// Where an output's column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The stage writes it.
    Written,
    /// It is this column of the input that [`Rows`] names.
    Passed(usize),
}

/// What a stage does with one config and given inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// One per input port.
    pub inputs: Vec<Input>,
    /// One per output port.
    pub outputs: Vec<Output>,
    /// Columns of the partials, when an input is combining.
    pub partial: Option<SchemaRef>,
    /// Number of invocations of a stage without inputs; 1 elsewhere.
    pub parts: u64,
}

/// What a stage needs of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its class.
    pub class: Class,
    /// Numbers of the columns that the stage reads, ascending. It gets no others, and nothing else is in its key.
    pub reads: Vec<usize>,
    /// Numbers of the key columns, for a keyed input.
    pub keys: Vec<usize>,
}

/// What a stage gives on one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What becomes of the rows.
    pub rows: Rows,
    /// Names and types of the columns, in order.
    pub fields: Vec<FieldRef>,
    /// Where each of them comes from.
    pub columns: Vec<Origin>,
}

impl Description {
    /// A stage with these inputs and outputs.
    pub fn new(inputs: impl Into<Vec<Input>>, outputs: impl Into<Vec<Output>>) -> Self {
        Self { inputs: inputs.into(), outputs: outputs.into(), partial: None, parts: 1 }
    }

    /// Gives the columns of the partials.
    #[must_use]
    pub fn with_partial(mut self, partial: SchemaRef) -> Self {
        self.partial = Some(partial);
        self
    }

    /// Gives the number of invocations.
    #[must_use]
    pub fn with_parts(mut self, parts: u64) -> Self {
        self.parts = parts;
        self
    }

    /// Refuses outputs with two columns of one name.
    pub(crate) fn checked(self) -> Result<Self> {
        for output in &self.outputs {
            let mut names: Vec<_> = output.fields.iter().map(|field| field.name()).collect();
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(Problem::new(format!("the output would have two columns `{}`", pair[0])));
            }
        }
        Ok(self)
    }
}

impl Input {
    /// An input of this class, of which these columns are read.
    pub fn new<'a>(class: Class, reads: impl IntoIterator<Item = &'a Column>) -> Self {
        let mut reads: Vec<usize> = reads.into_iter().map(|column| column.index).collect();
        reads.sort_unstable();
        reads.dedup();
        Self { class, reads, keys: Vec::new() }
    }

    /// An input whose rows come together where they agree in all key columns. An invocation gets all rows of some keys,
    /// in their order; of several keyed inputs, all rows of the same keys. The keys are read too.
    pub fn keyed<'a>(keys: &[Column], reads: impl IntoIterator<Item = &'a Column>) -> Self {
        let numbers = keys.iter().map(|column| column.index).collect();
        let reads: Vec<&Column> = reads.into_iter().collect();
        Self { keys: numbers, ..Self::new(Class::Keyed, keys.iter().chain(reads)) }
    }
}

impl Output {
    /// The same rows as an input's. No columns yet.
    pub fn same(input: &Columns) -> Self {
        Self::with_rows(Rows::Same(input.port))
    }

    /// Some of an input's rows. No columns yet.
    pub fn subset(input: &Columns) -> Self {
        Self::with_rows(Rows::Subset(input.port))
    }

    /// Rows of the stage's own making. No columns yet.
    pub fn new_rows() -> Self {
        Self::with_rows(Rows::New)
    }

    /// Rows of the stage's own making, of these columns.
    pub fn made(schema: &SchemaRef) -> Self {
        let fields = schema.fields().to_vec();
        Self { rows: Rows::New, columns: vec![Origin::Written; fields.len()], fields }
    }

    fn with_rows(rows: Rows) -> Self {
        Self { rows, fields: Vec::new(), columns: Vec::new() }
    }

    /// Passes a column on.
    #[must_use]
    pub fn pass(mut self, column: &Column) -> Self {
        self.fields.push(column.field.clone());
        self.columns.push(Origin::Passed(column.index));
        self
    }

    /// Passes a column on under another name.
    #[must_use]
    pub fn pass_as(mut self, column: &Column, name: &str) -> Self {
        self.fields.push(Arc::new(column.field.as_ref().clone().with_name(name)));
        self.columns.push(Origin::Passed(column.index));
        self
    }

    /// Passes columns on.
    #[must_use]
    pub fn pass_all<'a>(self, columns: impl IntoIterator<Item = &'a Column>) -> Self {
        columns.into_iter().fold(self, Self::pass)
    }

    /// Writes a column: in the place of the one with that name, or at the end.
    #[must_use]
    pub fn write(mut self, field: impl Into<FieldRef>) -> Self {
        let field = field.into();
        match self.fields.iter().position(|other| other.name() == field.name()) {
            Some(place) => {
                self.fields[place] = field;
                self.columns[place] = Origin::Written;
            }
            None => {
                self.fields.push(field);
                self.columns.push(Origin::Written);
            }
        }
        self
    }

    /// Writes columns.
    #[must_use]
    pub fn write_all<F: Into<FieldRef>>(self, fields: impl IntoIterator<Item = F>) -> Self {
        fields.into_iter().fold(self, Self::write)
    }

    /// All its columns as a schema.
    pub fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.fields.clone()))
    }

    /// The columns that the stage writes, in order.
    pub fn written(&self) -> Vec<FieldRef> {
        let pairs = self.fields.iter().zip(&self.columns);
        pairs.filter(|(_, origin)| **origin == Origin::Written).map(|(field, _)| field.clone()).collect()
    }
}

/// A column that a stage writes.
pub fn field(name: &str, data_type: crate::arrow::datatypes::DataType, nullable: bool) -> FieldRef {
    Arc::new(Field::new(name, data_type, nullable))
}
