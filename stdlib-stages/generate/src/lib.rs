//! `generate@1`: makes rows.
//!
//! Every value is a function of the seed, the column's name and the row's number alone, so parts are made independently
//! and adding a column changes no other.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod column;
mod random;

use flowc_sdk::prelude::*;
use serde::Deserialize;

use column::{ColumnSpec, Maker};

/// What `generate@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many rows.
    rows: u64,
    /// Another seed gives other values.
    #[serde(default)]
    seed: u64,
    /// Rows that are made in one go, as one segment.
    #[serde(rename = "rows-per-part", default = "million")]
    rows_per_part: u64,
    /// The columns, in order.
    #[serde(rename = "column")]
    columns: Vec<ColumnSpec>,
}

fn million() -> u64 {
    1_000_000
}

/// An open `generate@1`.
pub struct Generate {
    makers: Vec<Maker>,
    rows: std::ops::Range<u64>,
}

/// Rows in a batch.
const BATCH: u64 = 8192;

impl Stage for Generate {
    type Config = Config;
    const DOC: &'static str = "Makes rows: sequences, random numbers, choices, text, time stamps. The same config gives \
                               the same rows.";
    const INPUTS: &'static [&'static str] = &[];

    fn describe(config: &Config, _: &[Columns]) -> Result<Description> {
        if config.rows_per_part == 0 {
            return Err(Problem::at("/rows-per-part", "a part needs a row"));
        }
        if config.columns.is_empty() {
            return Err(Problem::at("/column", "rows need a column"));
        }
        let makers = makers(config)?;
        let output = Output::made(&Arc::new(Schema::new(makers.iter().map(Maker::field).collect::<Vec<_>>())));
        Ok(Description::new([], [output]).with_parts(config.rows.div_ceil(config.rows_per_part).max(1)))
    }

    fn open(config: Config, opening: Opening) -> Result<Self> {
        let start = opening.part.saturating_mul(config.rows_per_part).min(config.rows);
        let end = start.saturating_add(config.rows_per_part).min(config.rows);
        Ok(Self { makers: makers(&config)?, rows: start..end })
    }

    fn push(&mut self, port: usize, _: Batch, _: &mut Outputs) -> Result<()> {
        Err(Problem::new(format!("there is no input number {port}")))
    }

    fn finish(&mut self, outputs: &mut Outputs) -> Result<()> {
        while !self.rows.is_empty() {
            let end = self.rows.end.min(self.rows.start + BATCH);
            let rows = std::mem::replace(&mut self.rows.start, end)..end;
            let columns: Vec<ArrayRef> = self.makers.iter().map(|maker| maker.make(rows.clone())).collect();
            outputs.write(0, &columns)?;
        }
        Ok(())
    }
}

fn makers(config: &Config) -> Result<Vec<Maker>> {
    let maker = |(i, spec)| Maker::new(spec, &format!("/column/{i}"), config.seed, config.rows);
    config.columns.iter().enumerate().map(maker).collect()
}

flowc_sdk::export!(Generate);

#[cfg(test)]
mod tests;
