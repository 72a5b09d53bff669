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

#[cfg(test)]
mod tests {
    use flowc_sdk::arrow::error::ArrowError;
    use flowc_sdk::serde_json::json;
    use flowc_sdk::testing;

    use super::*;

    fn notes() -> Result<RecordBatch, ArrowError> {
        let column = |texts: Vec<Option<&str>>| Arc::new(StringArray::from(texts)) as ArrayRef;
        let names = column(vec![Some("ann"), Some("bob")]);
        RecordBatch::try_from_iter_with_nullable([
            ("name", names, false),
            ("text", column(vec![Some("ciao"), None]), true),
        ])
    }

    #[test]
    fn text_is_written_in_capitals_and_the_rest_passes() -> Result<()> {
        let output = testing::run::<Map<Uppercase>>(&json!({"column": "text"}), &[vec![notes()?]])?.remove(0);
        assert_eq!(output.schema(), notes()?.schema());
        assert_eq!(output.column(0), notes()?.column(0));
        assert_eq!(output.column(1).as_string::<i32>(), &StringArray::from(vec![Some("CIAO"), None]));
        Ok(())
    }

    #[test]
    fn an_unknown_column_is_a_problem_of_the_config() -> Result<()> {
        let problem = testing::describe::<Map<Uppercase>>(&json!({"column": "txt"}), &[notes()?.schema()]).err();
        assert_eq!(problem.and_then(|problem| problem.help).as_deref(), Some("did you mean `text`?"));
        Ok(())
    }
}
