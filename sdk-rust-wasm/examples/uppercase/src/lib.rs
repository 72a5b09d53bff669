//! Writes a text column in capitals.

use flowc_sdk::prelude::*;
use serde::Deserialize;

/// The config, which is the stage.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Uppercase {
    /// The text column to write in capitals.
    column: String,
}

impl MapColumns for Uppercase {
    const DOC: &'static str = "Writes a text column in capitals.";

    fn describe(&self, input: &Columns) -> Result<Mapping> {
        let column = input.text("/column", &self.column)?;
        Ok(Mapping::new().write(field(column.name(), DataType::Utf8, column.field.is_nullable())).read(column))
    }

    fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let capitals: StringArray = text(&columns[0])?.iter().map(|text| text.map(str::to_uppercase)).collect();
        Ok(vec![Arc::new(capitals)])
    }
}

flowc_sdk::export!(Map<Uppercase>);
