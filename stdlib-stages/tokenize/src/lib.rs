//! `tokenize@1`: splits text into words.
//!
//! A word is a maximal run of letters and digits, in the sense of Unicode. Words never cross rows.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod edges;
mod letters;
mod mask;
mod words;

use flowc_sdk::arrow::array::UInt32Array;
use flowc_sdk::prelude::*;
use serde::Deserialize;

use letters::Letters;
use words::Words;

/// What `tokenize@1` is told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text column.
    column: String,
    /// Whether words are written in lower case.
    #[serde(default = "yes")]
    lowercase: bool,
    /// Columns to pass along with each word.
    #[serde(default)]
    keep: Vec<String>,
    /// Name of the column of words.
    #[serde(rename = "as", default = "word")]
    name: String,
}

fn yes() -> bool {
    true
}

fn word() -> String {
    "word".to_owned()
}

/// An open `tokenize@1`.
pub struct Tokenize {
    letters: Letters,
    lowercase: bool,
    keep: bool,
}

impl Stage for Tokenize {
    type Config = Config;
    const DOC: &'static str = "Splits text into words: maximal runs of letters and digits, in lower case unless told \
                               otherwise. Gives one row per word, with the columns to keep.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let [input] = inputs else { return Err(Problem::new("tokenize takes one input")) };
        let column = input.text("/column", &config.column)?;
        let keep = input.find_all("/keep", &config.keep)?;
        if config.keep.contains(&config.name) {
            return Err(Problem::at("/as", format!("`{}` is the name of a column to keep, too", config.name)));
        }
        let output = if keep.is_empty() { Output::new_rows() } else { Output::subset(input).pass_all(&keep) };
        let output = output.write(field(&config.name, DataType::Utf8, false));
        Ok(Description::new([Input::new(Class::RowWise, [&column])], [output]))
    }

    fn open(config: Config, _: Opening) -> Result<Self> {
        Ok(Self { letters: Letters::new(), lowercase: config.lowercase, keep: !config.keep.is_empty() })
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        let text = text(&batch.column(0)?)?;
        let mut give = |words: StringArray, rows: Vec<u32>| match self.keep {
            true => outputs.emit(0, batch.take(&UInt32Array::from(rows))?.derive(0, &[Arc::new(words)])?),
            false => outputs.write(0, &[Arc::new(words)]),
        };
        Words::new(&text, &mut self.letters, self.lowercase, self.keep).split(&mut give)
    }
}

flowc_sdk::export!(Tokenize);

#[cfg(test)]
mod tests;
