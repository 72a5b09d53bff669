//! Format `csv`: every file is read back by its own dialect as the same rows.
//!
//! A null is the null text without quotes. Text that says the same, and empty text, is in quotes.

use std::error::Error;

use arrow_array::{Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{Field, Schema};
use flowc_codec::odd_time;
use flowc_planner::plan::CsvDialect;

use crate::formats::misfit::Misfit;
use crate::formats::types::is_text;

/// A byte order mark: at the start of a file a reader leaves it out.
const MARK: char = '\u{feff}';

/// Rows to bytes.
pub(crate) struct CsvWriter {
    dialect: CsvDialect,
    /// Whether a byte can't stand in a field without quotes.
    is_mark: [bool; 256],
}

/// A column with what writes its values.
struct Column<'a> {
    name: &'a str,
    is_text: bool,
    nulls: Option<NullBuffer>,
    values: ArrayFormatter<'a>,
}

impl<'a> Column<'a> {
    fn new(field: &'a Field, array: &'a dyn Array) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let name = field.name();
        if let Some((row, reason)) = odd_time(array) {
            return Err(Misfit::new(row, name, reason).into());
        }
        let (is_text, nulls) = (is_text(array.data_type()), array.logical_nulls());
        Ok(Self { name, is_text, nulls, values: ArrayFormatter::try_new(array, &OPTIONS)? })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }
}

/// A value that can't be written is an error.
const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

impl CsvWriter {
    /// The dialect has passed [`crate::check`].
    pub(crate) fn new(dialect: &CsvDialect) -> Self {
        let mut is_mark = [false; 256];
        let marks = [Some(dialect.delimiter), Some(dialect.quote), dialect.escape, Some('\n'), Some('\r')];
        marks.into_iter().flatten().for_each(|mark| is_mark[usize::from(mark as u8)] = true);
        Self { dialect: dialect.clone(), is_mark }
    }

    /// Appends the names of the columns, if the dialect has a header.
    pub(crate) fn header(&self, schema: &Schema, out: &mut Vec<u8>) {
        if self.dialect.header && !schema.fields().is_empty() {
            let names = schema.fields().iter().map(|field| field.name());
            names.for_each(|name| self.field(name, out));
            end_line(out);
        }
    }

    /// Appends rows. Their columns are plain.
    pub(crate) fn rows(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let columns = batch.schema_ref().fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, array)| Column::new(field, array)).collect::<Result<Vec<_>, _>>()?;
        let mut value = String::new();
        for row in 0..batch.num_rows() {
            for column in &columns {
                if column.is_null(row) {
                    self.null(column, columns.len() == 1, out)
                        .map_err(|reason| Misfit::new(row, column.name, reason))?;
                    continue;
                }
                value.clear();
                column.values.value(row).write(&mut value)?;
                if !column.is_text && value == self.dialect.null {
                    let reason = format!("its value is written as {value:?}, which is the `null-text`; name another");
                    return Err(Misfit::new(row, column.name, reason).into());
                }
                self.field(&value, out);
            }
            end_line(out);
        }
        Ok(())
    }

    /// Appends a null. `alone`: it is all that there is in the line, which would be blank without a null text. A blank
    /// line is no row; of other columns than text, empty quotes are null too.
    fn null(&self, column: &Column<'_>, alone: bool, out: &mut Vec<u8>) -> Result<(), &'static str> {
        match alone && self.dialect.null.is_empty() {
            true if column.is_text => return Err("a null would make a blank line; name a `null-text`"),
            true => self.quoted("", out),
            false => {
                out.extend_from_slice(self.dialect.null.as_bytes());
                out.push(self.dialect.delimiter as u8);
            }
        }
        Ok(())
    }

    /// Appends a field and a delimiter.
    fn field(&self, text: &str, out: &mut Vec<u8>) {
        if self.needs_quotes(text) {
            return self.quoted(text, out);
        }
        out.extend_from_slice(text.as_bytes());
        out.push(self.dialect.delimiter as u8);
    }

    /// Empty text and the null text are kept apart from null. Some readers strip white space; flowc's own strips a mark.
    fn needs_quotes(&self, text: &str) -> bool {
        let at_edge = |c: char| c.is_whitespace() || c == MARK;
        text.is_empty()
            || text == self.dialect.null
            || text.starts_with(at_edge)
            || text.ends_with(at_edge)
            || text.bytes().any(|byte| self.is_mark[usize::from(byte)])
    }

    fn quoted(&self, text: &str, out: &mut Vec<u8>) {
        let quote = self.dialect.quote as u8;
        let escape = self.dialect.escape.map(|escape| escape as u8);
        out.push(quote);
        for byte in text.bytes() {
            if byte == quote || Some(byte) == escape {
                out.push(escape.unwrap_or(quote));
            }
            out.push(byte);
        }
        out.extend([quote, self.dialect.delimiter as u8]);
    }
}

/// Puts a line end in place of the delimiter after the last field.
fn end_line(out: &mut Vec<u8>) {
    out.pop();
    out.push(b'\n');
}
