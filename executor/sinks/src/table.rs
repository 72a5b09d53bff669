//! Rows as an aligned table, for people.

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, Schema};
use comfy_table::Table;

/// Characters of a value that a table shows: nobody reads more, and aligning them takes time that grows with their
/// square.
const SHOWN: usize = 1000;

/// Lines of a table that Markdown understands.
const LINES: &str = "||--+-++|    ++++++";

/// Draws a table of rows, without a line end. Nulls are shown as `null_text`; with `types`, each column has its type
/// under its name. Long values are cut, and say so.
///
/// # Errors
/// If a type can't be shown.
pub fn table(schema: &Schema, rows: &[RecordBatch], null_text: &str, types: bool) -> Result<String, ArrowError> {
    let mut table = Table::new();
    table.load_preset(LINES).set_header(schema.fields().iter().map(|field| match types {
        true => format!("{}\n{}", field.name(), field.data_type()),
        false => field.name().clone(),
    }));
    let options = FormatOptions::new().with_null(null_text);
    for batch in rows {
        let columns = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            // A value that its type can't have is shown as an error, in its place.
            table.add_row(columns.iter().map(|column| cut(column.value(row).to_string())));
        }
    }
    Ok(table.to_string())
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        let more = text[end..].chars().count();
        text.truncate(end);
        text.push_str(&format!("... and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_at_a_character_and_say_so() {
        assert_eq!(cut("é".repeat(SHOWN)), "é".repeat(SHOWN));
        assert_eq!(cut("é".repeat(SHOWN + 7)), "é".repeat(SHOWN) + "... and 7 more");
    }
}
