//! What a dialect of CSV may say, in the words of the crates that read it, and which types its fields can be read as.

use std::io::Read;
use std::sync::Arc;

use arrow_csv::reader::Format;
use arrow_schema::{DataType, Field, SchemaRef};
use flowc_planner::plan::CsvDialect;

use crate::error::SourceError;
use crate::values::texts::unreadable;

/// Everything of a dialect is one ASCII character, and each has one meaning.
pub(crate) fn check_dialect(dialect: &CsvDialect) -> Result<(), SourceError> {
    let marks = [
        ("delimiter", Some(dialect.delimiter)),
        ("quote", Some(dialect.quote)),
        ("escape", dialect.escape),
        ("comment", dialect.comment),
    ];
    let used: Vec<_> = marks.iter().filter_map(|&(name, mark)| Some((name, mark?))).collect();
    for (i, &(name, mark)) in used.iter().enumerate() {
        if !mark.is_ascii() || matches!(mark, '\n' | '\r') {
            return Err(unfit(format!("the CSV {name} {mark:?} is not one ASCII character other than a line end")));
        }
        if let Some((other, _)) = used[..i].iter().find(|(_, earlier)| *earlier == mark) {
            return Err(unfit(format!("the CSV {name} and {other} are both {mark:?}; they must differ")));
        }
    }
    Ok(())
}

fn unfit(reason: String) -> SourceError {
    SourceError::UnfitFormat { reason }
}

/// Says which types a CSV field can be read as.
pub(crate) fn check_types(schema: &SchemaRef) -> Result<(), SourceError> {
    let is_readable = |data_type: &DataType| match data_type {
        DataType::Dictionary(_, value) => !value.is_nested(),
        DataType::RunEndEncoded(_, values) => !values.data_type().is_nested(),
        other => !other.is_nested(),
    };
    let misfit = |field: &&Arc<Field>| !is_readable(field.data_type()) || unreadable(field.data_type()).is_some();
    match schema.fields().iter().find(misfit) {
        Some(field) => {
            let (name, data_type) = (field.name(), field.data_type());
            let reason = format!("column `{name}` is {data_type}, which no CSV field can be read as");
            Err(SourceError::UnfitSchema { format: "csv", reason })
        }
        None => Ok(()),
    }
}

/// The dialect in arrow-csv's words. Headers are read here, so it sees records alone.
pub(crate) fn format(dialect: &CsvDialect) -> Result<Format, SourceError> {
    let mut format = Format::default().with_delimiter(dialect.delimiter as u8).with_quote(dialect.quote as u8);
    if let Some(escape) = dialect.escape {
        format = format.with_escape(escape as u8);
    }
    if let Some(comment) = dialect.comment {
        format = format.with_comment(comment as u8);
    }
    if !dialect.null.is_empty() {
        let pattern = regex::Regex::new(&format!(r"\A{}\z", regex::escape(&dialect.null)));
        let pattern = pattern.map_err(|_| unfit("the CSV null text is too long".to_owned()))?;
        format = format.with_null_regex(pattern);
    }
    Ok(format)
}

/// A reader of single records in a dialect.
pub(crate) fn records<R: Read>(dialect: &CsvDialect, input: R) -> csv::Reader<R> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true);
    builder.delimiter(dialect.delimiter as u8).quote(dialect.quote as u8);
    builder.escape(dialect.escape.map(|c| c as u8)).comment(dialect.comment.map(|c| c as u8));
    builder.from_reader(input)
}
