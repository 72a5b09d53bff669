//! Counts the rows of each key on two sides: two keyed inputs.

use std::collections::BTreeMap;

use flowc_sdk::arrow::array::Int64Array;
use flowc_sdk::prelude::*;
use serde::Deserialize;

/// What the pipeline's text configures.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text column of the rows on the left.
    left: String,
    /// The text column of the rows on the right.
    right: String,
}

/// One group of keys, with the number of rows on either side.
pub struct Matched(BTreeMap<String, [i64; 2]>);

impl Stage for Matched {
    type Config = Config;
    const DOC: &'static str = "Counts the rows of each key on two sides.";
    const INPUTS: &'static [&'static str] = &["left", "right"];

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let left = inputs[0].find("/left", &config.left)?;
        let right = inputs[1].find("/right", &config.right)?;
        let number = |name| field(name, DataType::Int64, false);
        let counts =
            Output::new_rows().write_all([field("key", DataType::Utf8, false), number("left"), number("right")]);
        Ok(Description::new([Input::keyed(&[left], []), Input::keyed(&[right], [])], [counts]))
    }

    fn open(_: Config, _: Opening) -> Result<Self> {
        Ok(Self(BTreeMap::new()))
    }

    fn push(&mut self, port: usize, batch: Batch, _: &mut Outputs) -> Result<()> {
        for key in text(&batch.column(0)?)?.iter() {
            self.0.entry(key.unwrap_or("none").to_owned()).or_default()[port] += 1;
        }
        Ok(())
    }

    fn finish(&mut self, outputs: &mut Outputs) -> Result<()> {
        let side = |side: usize| Arc::new(Int64Array::from_iter_values(self.0.values().map(|n| n[side]))) as ArrayRef;
        outputs.write(0, &[Arc::new(StringArray::from_iter_values(self.0.keys())), side(0), side(1)])
    }
}

flowc_sdk::export!(Matched);
