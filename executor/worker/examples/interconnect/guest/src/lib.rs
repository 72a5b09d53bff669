//! Reads small records and writes all of their columns: a stage whose edges carry everything, both ways.

use flowc_sdk::arrow::datatypes::Float64Type;
use flowc_sdk::prelude::*;
use serde::Deserialize;

/// It has no config.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entities {}

impl MapColumns for Entities {
    const DOC: &'static str = "Doubles the score of each record, and writes all of its columns.";

    fn describe(&self, input: &Columns) -> Result<Mapping> {
        let write = |mapping: Mapping, column: Column| mapping.write(column.field.clone()).read(column);
        Ok(input.all().into_iter().fold(Mapping::new(), write))
    }

    fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let doubled = |column: &ArrayRef| match column.as_primitive_opt::<Float64Type>() {
            Some(scores) => Arc::new(scores.unary::<_, Float64Type>(|score| score * 2.0)),
            None => column.clone(),
        };
        Ok(columns.iter().map(doubled).collect())
    }
}

flowc_sdk::export!(Map<Entities>);
