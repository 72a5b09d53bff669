//! Says in its log what it is given, and refuses a text.

use flowc_sdk::arrow::array::Int64Array;
use flowc_sdk::prelude::*;
use flowc_sdk::{Level, log};
use serde::Deserialize;

/// What the pipeline's text configures.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The text column.
    column: String,
    /// The column of lengths that is added.
    adds: String,
    /// A text that is a problem.
    #[serde(default)]
    refuses: String,
}

/// Adds the lengths of texts.
pub struct Heard(Config);

impl Stage for Heard {
    type Config = Config;
    const DOC: &'static str = "Says in its log what it is given, and refuses a text.";

    fn describe(config: &Config, inputs: &[Columns]) -> Result<Description> {
        let texts = inputs[0].text("/column", &config.column)?;
        let rows = Output::same(&inputs[0]).pass_all(&inputs[0].all());
        let rows = rows.write(field(&config.adds, DataType::Int64, false));
        Ok(Description::new([Input::new(Class::RowWise, &[texts])], [rows]))
    }

    fn open(config: Config, _: Opening) -> Result<Self> {
        Ok(Self(config))
    }

    fn push(&mut self, _: usize, batch: Batch, outputs: &mut Outputs) -> Result<()> {
        log(Level::Info, &format!("{} rows", batch.rows()));
        let texts = batch.column(0)?;
        let texts = text(&texts)?;
        if texts.iter().flatten().any(|text| text == self.0.refuses) {
            return Err(Problem::new(format!("`{}` is refused", self.0.refuses)));
        }
        let lengths = texts.iter().map(|text| text.map_or(0, |text| text.len() as i64));
        let lengths: ArrayRef = Arc::new(Int64Array::from_iter_values(lengths));
        outputs.emit(0, batch.derive(0, &[lengths])?)
    }
}

flowc_sdk::export!(Heard);
