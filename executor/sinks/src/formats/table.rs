//! Rows as an aligned table, for people.

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, Schema};
use comfy_table::Table;
use flowc_codec::printable;
use flowc_planner::visible::line;

/// Characters of a value that a table shows: nobody reads more, and aligning them takes time that grows with their
/// square.
const SHOWN: usize = 1000;

/// Lines of a table that Markdown understands.
const LINES: &str = "||--+-++|    ++++++";

/// Draws a table of rows, without a line end. Nulls are shown as `null_text`; with `types`, each column has its type
/// under its name. Long values are cut, and say so; control characters are escaped, so that each row is a line. A time beyond
/// the calendar is its count and unit.
///
/// # Errors
/// If a type can't be shown.
pub fn table(schema: &Schema, rows: &[RecordBatch], null_text: &str, types: bool) -> Result<String, ArrowError> {
    let mut table = Table::new();
    table.load_preset(LINES).set_header(schema.fields().iter().map(|field| match types {
        true => format!("{}\n{}", line(field.name()), line(&field.data_type().to_string())),
        false => line(field.name()).into_owned(),
    }));
    let options = FormatOptions::new().with_null(null_text);
    for batch in rows {
        let columns = batch.columns().iter().map(printable).collect::<Result<Vec<_>, _>>()?;
        let columns = columns.iter().map(|column| ArrayFormatter::try_new(column, &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            table.add_row(columns.iter().map(|column| cut(line(&column.value(row).to_string()).into_owned())));
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
    use std::sync::Arc;

    use arrow_array::{ArrayRef, StringArray, TimestampSecondArray};

    use super::*;

    #[test]
    fn a_terminal_obeys_neither_values_nor_names() {
        let texts = StringArray::from(vec!["a\x1b[31m\tb\nc", "d"]);
        let batch = RecordBatch::try_from_iter([("n\x07", Arc::new(texts) as ArrayRef)]).unwrap();
        let table = table(&batch.schema(), std::slice::from_ref(&batch), "", true).unwrap();
        assert_eq!(table.lines().count(), 7, "{table}");
        assert!(table.contains("| n\\u{7} ") && table.contains("| a\\u{1b}[31m\\tb\\nc |"), "{table}");
        assert!(!table.contains('\x1b'));
    }

    #[test]
    fn times_beyond_the_calendar_are_counts() {
        let times = TimestampSecondArray::from(vec![Some(i64::MAX), None, Some(0)]);
        let batch = RecordBatch::try_from_iter([("t", Arc::new(times) as ArrayRef)]).unwrap();
        let table = table(&batch.schema(), std::slice::from_ref(&batch), "null", false).unwrap();
        for text in ["| 9223372036854775807 s ", "| null ", "| 1970-01-01T00:00:00 "] {
            assert!(table.contains(text), "{table}");
        }
    }

    #[test]
    fn long_values_are_cut_at_a_character_and_say_so() {
        assert_eq!(cut("é".repeat(SHOWN)), "é".repeat(SHOWN));
        assert_eq!(cut("é".repeat(SHOWN + 7)), "é".repeat(SHOWN) + "... and 7 more");
    }
}
