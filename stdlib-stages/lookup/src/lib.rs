//! `lookup@1`: joins rows with a table by key.
//!
//! The table is read whole and kept in memory; rows flow by. A row matches one row of the table at most, so that rows
//! are never multiplied: a key that is in the table twice is an error, unless `first` says to take the first.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod join;
mod table;

use flowc_sdk::arrow::array::{BooleanArray, UInt32Array};
use flowc_sdk::prelude::*;
use serde::Deserialize;

use join::Join;
use table::Table;

/// What `lookup@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pairs of columns that must be equal.
    on: Vec<Pair>,
    /// What becomes of rows without a match.
    #[serde(default)]
    mode: Mode,
    /// Columns of the table to add; all but the keys if left out.
    columns: Option<Vec<String>>,
    /// Put before the names of the columns that are added.
    #[serde(default)]
    prefix: String,
    /// Take the first of several rows of the table with one key, in the table's order; otherwise they are an error.
    #[serde(default)]
    first: bool,
}

/// Two columns that must be equal.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The column of the rows.
    left: String,
    /// The column of the table.
    right: String,
}

/// What becomes of rows without a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They are dropped.
    #[default]
    Inner,
    /// They stay, and what is added is null.
    Left,
    /// They alone stay, and nothing is added.
    Anti,
}

/// An open `lookup@1`.
pub struct Lookup {
    mode: Mode,
    join: Join,
    table: Table,
}

const ROWS: usize = 0;
const TABLE: usize = 1;

impl Stage for Lookup {
    type Config = Config;
    const DOC: &'static str = "Adds columns of a table to the rows whose keys are equal, or keeps the rows that the table \
                               does not have. The table is kept in memory. Of floats, -0.0 equals 0.0 and NaN equals \
                               NaN; null equals nothing.";
    const INPUTS: &'static [&'static str] = &["rows", "table"];

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [rows, table] = inputs else { return Err(Problem::new("lookup takes `rows` and a `table`")) };
        let join = Join::new(config, rows, table)?;
        let read_of_table = join.right.iter().chain(&join.added);
        let inputs = [Input::new(Class::RowWise, &join.left), Input::new(Class::Whole, read_of_table)];
        let output = if config.mode == Mode::Left { Output::same(rows) } else { Output::subset(rows) };
        let output = output.pass_all(&rows.all()).write_all(join.written(config));
        Ok(Description::new(inputs, [output]))
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let join = Join::new(&config, &opening.columns(ROWS), &opening.columns(TABLE))?;
        // Nothing is taken from the table then, so that it is all one which row matches.
        let first = config.first || config.mode == Mode::Anti;
        Ok(Self { mode: config.mode, table: Table::new(&join, first)?, join })
    }

    fn push(&mut self, port: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        match port {
            TABLE => self.table.push(&self.join, batch.read_all()?, batch.rows()),
            _ => self.look_up(&batch, outputs),
        }
    }

    fn end_of_input(&mut self, port: usize, _: &mut Outputs) -> Result<()> {
        if port == TABLE { self.table.close(&self.join) } else { Ok(()) }
    }
}

impl Lookup {
    fn look_up(&self, batch: &Batch, outputs: &mut Outputs) -> Result<()> {
        let left: Vec<usize> = self.join.left.iter().map(|column| column.index).collect();
        let found = self.table.find(&batch.read(&left)?)?;
        let matched = |wanted: bool| BooleanArray::from_iter(found.iter().map(|row| Some(row.is_some() == wanted)));
        let batch = match self.mode {
            Mode::Left => batch.derive(0, &self.table.take(&found)?)?,
            Mode::Inner => {
                let rows = UInt32Array::from_iter_values(found.iter().flatten());
                batch.filter(&matched(true))?.derive(0, &self.table.take(&rows)?)?
            }
            Mode::Anti => batch.filter(&matched(false))?.derive(0, &[])?,
        };
        if batch.rows() > 0 { outputs.emit(0, batch) } else { Ok(()) }
    }
}

flowc_sdk::export!(Lookup);

#[cfg(test)]
mod tests;
