//! `flowc show OUTPUT`: rows of a stream. They are written as they are read, so that any number of them takes no more
//! memory; only a table needs all that it shows.

use std::io::ErrorKind;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_executor::{Rows, SinkError, StdoutWriter};
use flowc_planner::plan::{CsvDialect, Format};
use flowc_planner::quantity::count;

use super::{Context, printed};
use crate::args::ShowArgs;
use crate::exit::{self, Exit};
use crate::report::Failure;
use crate::terminal::{self, harmless};

/// Rows that people look at, unless they say how many.
const FEW: u64 = 20;

pub(super) fn run(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    if args.arrow && terminal::prints_to_person() {
        let remedy = format!("write it to a file, `flowc show {} --arrow > rows.arrows`, or into a pipe", args.output);
        return Err(Failure::command(format!("--arrow gives no text that a terminal could show; {remedy}")));
    }
    let session = context.session(&args.pipeline, false)?;
    let rows = session.show(&args.output, args.key.as_deref(), args.window.as_deref())?;
    let limit = args.rows.unwrap_or(if args.arrow { u64::MAX } else { FEW });
    match (args.json, args.csv, args.arrow) {
        (true, _, _) => write_rows(&rows, limit, &Format::JsonLines),
        (_, true, _) => write_rows(&rows, limit, &Format::Csv(CsvDialect::default())),
        (_, _, true) => write_rows(&rows, limit, &Format::Arrow),
        _ => print_table(&rows, limit),
    }
}

fn write_rows(rows: &Rows<'_>, limit: u64, format: &Format) -> Result<Exit, Failure> {
    let unwritten = |error: SinkError| match error {
        SinkError::Io { source, .. } => Failure::Output(source),
        SinkError::DiskFull { .. } => Failure::Output(ErrorKind::StorageFull.into()),
        other => {
            let name = rows.name();
            Failure::command(format!("`{name}` cannot be written so: {other}; try another form, or none for a table"))
        }
    };
    let mut writer = StdoutWriter::to_show(format, rows.schema(), std::io::stdout()).map_err(unwritten)?;
    let written = rows.each(limit, |batch| match writer.is_unread() {
        true => Err(Failure::Output(ErrorKind::BrokenPipe.into())),
        false => writer.write(batch).map_err(unwritten),
    });
    match written {
        // A reader that has gone has what it wanted.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    writer.finish().map_err(unwritten)?;
    Ok(exit::OK)
}

fn print_table(rows: &Rows<'_>, limit: u64) -> Result<Exit, Failure> {
    let mut batches = Vec::new();
    rows.each(limit, |batch| {
        batches.push(batch.clone());
        Ok::<_, Failure>(())
    })?;
    let unprintable = |error: ArrowError| {
        Failure::command(format!("`{}` cannot be shown as a table: {error}; try --json or --arrow", rows.name()))
    };
    let text = table(rows.name(), rows.count, &rows.schema(), &batches).map_err(unprintable)?;
    printed(&harmless(&text))
}

fn table(name: &str, rows: u64, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let shown: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let table = flowc_executor::table(schema, batches)?;
    Ok(format!("{table}\n{name}: {shown} of {}\n", count(rows, "row")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn schema() -> SchemaRef {
        let fields = vec![Field::new("word", DataType::Utf8, true), Field::new("n", DataType::Int64, false)];
        Arc::new(Schema::new(fields))
    }

    /// Two batches of a row each.
    fn batches() -> Vec<RecordBatch> {
        let words = StringArray::from(vec![Some("a,b"), None]);
        let columns: Vec<arrow_array::ArrayRef> = vec![Arc::new(words), Arc::new(Int64Array::from(vec![1, 2]))];
        let both = RecordBatch::try_new(schema(), columns).unwrap();
        vec![both.slice(0, 1), both.slice(1, 1)]
    }

    #[test]
    fn a_table_says_how_many_rows_there_are() {
        let table = table("words", 70, &schema(), &batches()).unwrap();
        assert!(table.contains("| a,b  | 1") && table.ends_with("words: 2 of 70 rows\n"), "{table}");
    }

    #[test]
    fn without_rows_the_columns_are_shown() {
        assert!(table("words", 0, &schema(), &[]).unwrap().contains("word"));
    }
}
