//! A kernel matched to the columns of its input.

mod bins;
mod module;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use flowc_planner::catalogue::{Description, InputDescription, OutputDescription};
use flowc_planner::plan::{Class, KernelColumns, NUMBERS, OutputColumn, Rows};
use flowc_planner::suggest;

use crate::diagnostic::Diagnostic;
use crate::layout::{Element, Storage};
use crate::numeric::Numeric;

pub use bins::{Bins, BinsOf, Edges, Labels};
pub(crate) use module::bind as module;
pub(crate) use row::bind as row;

/// What a buffer holds. Numbers of columns are those of the input, numbers of outputs those of [`Bound::written`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contents {
    /// A part of a column of the input.
    Input {
        /// The column.
        column: usize,
        /// Which of its buffers.
        part: Part,
    },
    /// A part of a written column.
    Output {
        /// The written column.
        output: usize,
        /// Which of its buffers.
        part: Part,
    },
    /// A part of a column of the table: an input that is there as a whole.
    Table {
        /// The column.
        column: usize,
        /// Which of its buffers.
        part: Part,
    },
    /// The rows of the table, the first row of the piece that is at hand, and the one after its last: three words.
    Piece,
    /// The number of each row's group, where rows are counted by groups: a word for each.
    Group,
    /// Which rows are kept: a word for each, 0 or 1.
    Mask,
    /// The config, as [`crate::Kernel::encode_config`] gives it.
    Config,
    /// The number of rows: one word.
    Batch,
    /// [`crate::Build::fault_words`], all ones before a run: for each of [`crate::Build::sites`] the first row that it was at fault in.
    Faults,
}

/// A buffer of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Its values, as Arrow has them; of written booleans a word for each. The values of a list can't be null: who fills the
    /// buffer has to refuse such rows.
    Values,
    /// Which values are there: of an input Arrow's bitmap, of an output a word for each row, 0 or 1.
    Validity,
    /// Where texts begin and the last one ends: words, the first one 0.
    Offsets,
    /// The bytes of texts, four in a word.
    Bytes,
}

/// A column that a kernel writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Its name, type and whether it may hold nulls.
    pub field: FieldRef,
    /// Columns of the input: where one of them is null, so is this, and a function over rows is not called.
    pub null_with: Vec<usize>,
    /// Whether the kernel says of each row if there is a value.
    pub has_validity: bool,
}

/// A kernel matched to columns: what the stage is, and which buffers it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The columns that it reads, ascending.
    pub reads: Vec<usize>,
    /// The table that it has beside the rows, if it has one.
    pub table: Option<Table>,
    /// The columns that it writes, in the order in which the output has them.
    pub written: Vec<Written>,
    /// Whether it picks rows. Those for which a function over rows is not called, because of a null, are not kept.
    pub picks: bool,
    /// What it counts into, if it counts rows instead of writing some for each.
    pub bins: Option<Bins>,
    /// Row-wise where that is proven, else per-segment. What counts is combining, or it is refused.
    pub class: Class,
    /// Why it is not row-wise.
    pub because: Option<String>,
    /// Whether all adapters give the same bits.
    pub numeric: Numeric,
    /// What its buffers hold, by the number of their binding.
    pub buffers: Vec<Contents>,
    /// All columns of the output.
    pub schema: SchemaRef,
    /// Where they come from.
    pub columns: Vec<OutputColumn>,
    /// How a function over rows is called; none for a module.
    pub(crate) call: Option<Call>,
}

/// An input that is there as a whole, the same for all rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The columns of it that are read, ascending.
    pub reads: Vec<usize>,
    /// Rows of a piece: the kernel is run for one after the other, and finds what it wrote before. None where all is one.
    pub piece: Option<u32>,
}

/// How a function over rows is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// One for each parameter.
    pub(crate) arguments: Vec<Argument>,
    /// One for each field of the result.
    pub(crate) results: Vec<Contents>,
    /// Columns whose nulls the function does not see: it is not called for such rows.
    pub(crate) unseen: Vec<usize>,
}

/// What a parameter gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// The value of a column.
    Value(usize, Storage),
    /// Whether a column has a value; of a column that has no nulls it is known beforehand.
    Validity(usize, bool),
    /// The config.
    Config,
}

impl Bound {
    /// The stage, as the planner takes it.
    pub fn description(&self) -> Description {
        let rows = match (&self.bins, self.picks) {
            (Some(_), _) => Rows::New,
            (None, true) => Rows::Subset { input: 0 },
            (None, false) => Rows::Same { input: 0 },
        };
        let rows_input = InputDescription { class: self.class, reads: self.reads.clone(), keys: Vec::new() };
        let of_table =
            |table: &Table| InputDescription { class: Class::Whole, reads: table.reads.clone(), keys: Vec::new() };
        Description {
            inputs: std::iter::once(rows_input).chain(self.table.as_ref().map(of_table)).collect(),
            outputs: vec![OutputDescription { schema: self.schema.clone(), rows, columns: self.columns.clone() }],
            partial: self.bins.as_ref().map(|bins| bins.partial(&self.written)),
            parts: 1,
            runner: self.runner(),
            explanation: Default::default(),
        }
    }
}

impl Bound {
    /// The same, with other columns before what is counted.
    ///
    /// # Panics
    /// If it counts nothing.
    #[must_use]
    pub fn labelled(mut self, labels: Labels) -> Self {
        let bins = self.bins.as_mut().expect("bins are labelled");
        bins.labels = labels;
        self.schema = bins.output(&self.written);
        self.columns = vec![OutputColumn::Written; self.schema.fields().len()];
        self
    }

    /// What is in the key of the stage, and what the plan says of it.
    fn runner(&self) -> BTreeMap<String, String> {
        let because = self.because.iter().map(|because| (Class::PerSegment.to_string(), because.clone()));
        because.chain([(NUMBERS.to_owned(), self.numeric.to_string())]).collect()
    }
}

/// The columns that are read, ascending.
fn reads(buffers: &[Contents]) -> Vec<usize> {
    ascending(buffers.iter().filter_map(|contents| match contents {
        Contents::Input { column, .. } => Some(*column),
        _ => None,
    }))
}

fn ascending(columns: impl Iterator<Item = usize>) -> Vec<usize> {
    columns.collect::<BTreeSet<usize>>().into_iter().collect()
}

/// Finds columns by the kernel's names, and notes what does not fit.
struct Columns<'a> {
    schema: &'a Schema,
    settings: &'a KernelColumns,
}

impl<'a> Columns<'a> {
    /// The column that a kernel means by a name.
    fn find(&self, name: &str) -> Option<(usize, &'a Field)> {
        let name = self.settings.bind.get(name).map_or(name, String::as_str);
        self.schema.column_with_name(name)
    }

    /// The problem of a name without a column.
    fn missing(&self, name: &str) -> Diagnostic {
        let known = self.schema.fields().iter().map(|field| field.name().as_str());
        let (wanted, setting) = match self.settings.bind.get(name) {
            Some(column) => (column.as_str(), Some(format!("/bind/{name}"))),
            None => (name, None),
        };
        let found = Diagnostic::new(format!("the input has no column `{wanted}`"));
        Diagnostic { help: suggest(wanted, known), setting, ..found }
    }

    /// The type of a written column, and how its rows lie.
    fn written_type(&self, name: &str, element: Element) -> Result<(DataType, Storage), Diagnostic> {
        let data_type = self.settings.gives.get(name).cloned().unwrap_or_else(|| element.data_type());
        match Storage::of(&data_type) {
            Some(storage) => Ok((data_type, storage)),
            None => {
                let found = Diagnostic::new(format!("`{name}` can't be {data_type}, whose rows have no fixed width"));
                Err(found.in_setting(format!("/gives/{name}")))
            }
        }
    }

    /// The problem of groups that nothing is counted by.
    fn unused_groups(&self) -> Option<Diagnostic> {
        self.settings.groups.as_ref()?;
        let found = Diagnostic::new("the kernel counts nothing by groups").in_setting("/groups".to_owned());
        Some(found.with_help(
            "a `@compute` module counts: declare `count: array<atomic<u32>>`, and add to `count[group[row]]`",
        ))
    }

    /// Settings that name something that is not there.
    fn unknown_settings(&self, names: &[&str], written: &[&str]) -> Vec<Diagnostic> {
        let unknown =
            |what: String, setting: String, help| Diagnostic { help, ..Diagnostic::new(what).in_setting(setting) };
        let bind = self.settings.bind.keys().filter(|name| !names.contains(&name.as_str())).map(|name| {
            let help = suggest(name, names.iter().copied());
            unknown(format!("the kernel reads no `{name}`"), format!("/bind/{name}"), help)
        });
        let gives = self.settings.gives.keys().filter(|name| !written.contains(&name.as_str())).map(|name| {
            let help = suggest(name, written.iter().copied());
            unknown(format!("the kernel writes no `{name}`"), format!("/gives/{name}"), help)
        });
        let drops = self.settings.drops.iter().enumerate();
        let drops = drops.filter(|(_, name)| self.schema.column_with_name(name).is_none()).map(|(at, name)| {
            let help = suggest(name, self.schema.fields().iter().map(|field| field.name().as_str()));
            unknown(format!("the input has no column `{name}`"), format!("/drops/{at}"), help)
        });
        bind.chain(gives).chain(drops).collect()
    }

    /// Sorts written columns as the output has them: those that replace one of the input in its place, then new ones.
    fn sort<T>(&self, written: &mut [(Written, T)]) {
        let place = |(column, _): &(Written, T)| self.schema.index_of(column.field.name()).unwrap_or(usize::MAX);
        written.sort_by_key(place);
    }

    /// The columns of the output: those of the input with what replaces them, then the new ones.
    fn output(&self, written: &[Written]) -> (SchemaRef, Vec<OutputColumn>) {
        let replaces = |name: &str| written.iter().find(|column| column.field.name() == name);
        let passed =
            self.schema.fields().iter().enumerate().filter_map(|(column, field)| match replaces(field.name()) {
                Some(new) => Some((new.field.clone(), OutputColumn::Written)),
                None if self.settings.drops.contains(field.name()) => None,
                None => Some((field.clone(), OutputColumn::Passed { column })),
            });
        let is_new = |column: &&Written| self.schema.column_with_name(column.field.name()).is_none();
        let new = written.iter().filter(is_new).map(|column| (column.field.clone(), OutputColumn::Written));
        let (fields, columns): (Vec<FieldRef>, Vec<OutputColumn>) = passed.chain(new).unzip();
        (Arc::new(Schema::new(fields)), columns)
    }
}
