//! `filter@1`: keeps the rows that meet conditions.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod compare;
mod condition;
mod literal;
mod test;

use flowc_sdk::prelude::*;
use serde::Deserialize;

use condition::Condition;
use test::{Compiler, Test};

/// `filter@1`: its config, and what becomes of it.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Where {
    /// Conditions that must all hold.
    #[serde(rename = "where")]
    conditions: Vec<Condition>,
    #[serde(skip)]
    #[schemars(skip)]
    test: Option<Test>,
}

impl FilterRows for Where {
    const DOC: &'static str = "Keeps the rows that meet all conditions, with all their columns. A comparison with null \
                               is neither true nor false; rows stay where the conditions are true. Of floats, -0.0 \
                               equals 0.0, and NaN equals NaN and is above all numbers.";

    fn describe(&mut self, input: &Columns) -> Result<Vec<Column>> {
        let mut compiler = Compiler::new(input);
        self.test = Some(compiler.all("/where", &self.conditions)?);
        Ok(compiler.reads())
    }

    fn keep(&mut self, columns: &[ArrayRef], rows: usize) -> Result<BooleanArray> {
        match &self.test {
            Some(test) => test.run(columns, rows),
            None => Err(Problem::new("the filter was not described")),
        }
    }
}

flowc_sdk::export!(Filter<Where>);

#[cfg(test)]
mod tests;
