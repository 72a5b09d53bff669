//! Writes a text column in capitals.

use flowc_sdk::prelude::*;
use serde::Deserialize;

/// The stage. Its fields are its config: `config { column "line" }` in the pipeline.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capitals {
    /// The text column to write in capitals.
    column: String,
}

impl MapColumns for Capitals {
    const DOC: &'static str = "Writes a text column in capitals.";

    /// Called when the pipeline is planned: which columns are read, and which are written, of which types.
    fn describe(&self, input: &Columns) -> Result<Mapping> {
        let column = input.text("/column", &self.column)?;
        let capitals = field(column.name(), DataType::Utf8, column.field.is_nullable());
        Ok(Mapping::new().read(column).write(capitals))
    }

    /// Called for each batch of rows, with the columns read. Gives the columns written.
    fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let capitals: StringArray = text(&columns[0])?.iter().map(|text| text.map(str::to_uppercase)).collect();
        Ok(vec![Arc::new(capitals)])
    }
}

flowc_sdk::export!(Map<Capitals>);

#[cfg(test)]
mod tests {
    use flowc_sdk::serde_json::json;
    use flowc_sdk::testing;

    use super::*;

    fn lines(texts: [Option<&str>; 2]) -> RecordBatch {
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("line", column, true)]).unwrap()
    }

    #[test]
    fn a_column_is_written_in_capitals() {
        let input = lines([Some("the hill"), None]);
        let outputs = testing::run::<Map<Capitals>>(&json!({ "column": "line" }), &[vec![input]]).unwrap();
        assert_eq!(outputs[0], lines([Some("THE HILL"), None]));
    }

    #[test]
    fn a_wrong_column_is_told_with_the_right_one() {
        let schema = lines([None, None]).schema();
        let problem = testing::describe::<Map<Capitals>>(&json!({ "column": "lime" }), &[schema]).unwrap_err();
        assert_eq!(problem.help.as_deref(), Some("did you mean `line`?"));
    }
}
