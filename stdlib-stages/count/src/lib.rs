//! `count@1`: counts rows per distinct value.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod groups;
mod keys;
mod table;

use flowc_sdk::arrow::array::Int64Array;
use flowc_sdk::arrow::datatypes::Int64Type;
use flowc_sdk::prelude::*;
use serde::Deserialize;

use groups::{Group, Groups};
use keys::Keys;

/// What `count@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Columns whose distinct values are counted; all of them if left out.
    by: Option<Vec<String>>,
    /// Name of the column of counts.
    #[serde(rename = "as", default = "count")]
    name: String,
}

fn count() -> String {
    "count".to_owned()
}

/// Counts so far.
pub struct Count {
    keys: Keys,
    groups: Groups,
    /// Where each key column lies in what is read.
    order: Vec<usize>,
}

impl Combine for Count {
    type Config = Config;
    const DOC: &'static str = "Counts the rows of each distinct value of some columns, null being a value. The result \
                               is sorted by these columns, nulls first. Of floats, -0.0 counts as 0.0, and NaN is one \
                               value, above all numbers.";

    fn describe(config: &Config, input: &Columns) -> Result<Combination> {
        let by = match &config.by {
            Some(by) => input.find_all("/by", by)?,
            None => input.all(),
        };
        let mut fields = Keys::new(by.iter().map(|column| column.field.clone()).collect())?.fields();
        if by.iter().any(|column| column.name() == config.name) {
            return Err(Problem::at("/as", format!("`{}` is the name of a column to count by, too", config.name)));
        }
        fields.push(field(&config.name, DataType::Int64, false));
        let schema = Arc::new(Schema::new(fields));
        Ok(Combination { reads: by, partial: schema.clone(), result: schema })
    }

    fn new(config: Config, columns: Columns, phase: Phase) -> Result<Self> {
        let mut by = match &config.by {
            Some(by) => columns.find_all("/by", by)?,
            None => columns.all(),
        };
        if config.by.is_none() && matches!(phase, Phase::Merge | Phase::Finish) {
            by.pop();
        }
        let order = by.iter().map(|column| column.index).collect();
        Ok(Self { keys: Keys::new(by.into_iter().map(|column| column.field).collect())?, groups: Groups::new(), order })
    }

    fn add(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let columns = self.ordered(columns);
        self.keys.add(&mut self.groups, &columns, rows, |_| 1)
    }

    fn merge(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let counts = columns.last().and_then(|column| column.as_primitive_opt::<Int64Type>());
        let counts = counts.ok_or_else(|| Problem::new("a partial without counts"))?.values().clone();
        let columns = self.ordered(columns);
        self.keys.add(&mut self.groups, &columns, rows, |row| counts[row] as u64)
    }

    fn partial(&mut self, outputs: &mut Outputs) -> Result<()> {
        self.write(&self.groups.in_order_of_appearance(), outputs)
    }

    fn finish(&mut self, outputs: &mut Outputs) -> Result<()> {
        self.write(&self.groups.sorted(), outputs)
    }
}

impl Count {
    fn ordered(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.order.iter().map(|&i| columns[i].clone()).collect()
    }

    fn write(&self, groups: &[Group], outputs: &mut Outputs) -> Result<()> {
        for groups in groups.chunks(flowc_sdk::MAX_ROWS) {
            let mut columns = self.keys.columns(groups.iter().map(|group| self.groups.key(*group)))?;
            columns.push(Arc::new(groups.iter().map(|group| self.groups.count(*group)).collect::<Int64Array>()));
            outputs.write(0, &columns)?;
        }
        Ok(())
    }
}

flowc_sdk::export!(Combining<Count>);

#[cfg(test)]
mod tests;
