//! `flowc show OUTPUT`: rows of a stream. They are written as they are read, so that any number of them takes no more
//! memory; only a table needs all that it shows.

use std::io::ErrorKind;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::{ArrowError, SchemaRef};
use flowc_executor::Rows;
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
    let rows = session.show(&args.output, args.key.as_deref())?;
    let limit = args.rows.unwrap_or(if args.arrow { u64::MAX } else { FEW });
    let form = match (args.json, args.csv, args.arrow) {
        (true, _, _) => Ok(Form::Json),
        (_, true, _) => Ok(Form::Csv { begun: false }),
        (_, _, true) => Form::arrow(rows.schema()),
        _ => return print_table(&rows, limit),
    };
    let unprintable = |error: ArrowError| {
        let name = &args.output;
        Failure::command(format!("`{name}` cannot be written so: {error}; try another form, or none for a table"))
    };
    let mut form = form.map_err(unprintable)?;
    let write = |bytes: Result<Vec<u8>, ArrowError>| Ok(terminal::write(&bytes.map_err(unprintable)?)?);
    let written = rows.each(limit, |batch| write(form.encode(batch))).and_then(|()| write(form.end(rows.schema())));
    match written {
        // A reader that has gone has what it wanted.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(exit::OK),
        written => written.map(|()| exit::OK),
    }
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
    let text = table(rows.name(), rows.count, rows.schema(), &batches).map_err(unprintable)?;
    printed(&harmless(&text))
}

fn table(name: &str, rows: u64, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, ArrowError> {
    let shown: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let table = flowc_executor::table(schema, batches)?;
    Ok(format!("{table}\n{name}: {shown} of {}\n", count(rows, "row")))
}

/// A form in which rows go on one after another.
enum Form {
    Json,
    Csv { begun: bool },
    Arrow(Box<StreamWriter<Vec<u8>>>),
}

impl Form {
    fn arrow(schema: &SchemaRef) -> Result<Self, ArrowError> {
        Ok(Self::Arrow(Box::new(StreamWriter::try_new(Vec::new(), schema)?)))
    }

    /// The bytes of some rows, and of what comes before the first.
    fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let mut bytes = Vec::new();
        match self {
            Form::Json => {
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                let mut writer = builder.build::<_, LineDelimited>(&mut bytes);
                writer.write(batch)?;
                writer.finish()?;
            }
            Form::Csv { begun } => {
                let builder = arrow_csv::WriterBuilder::new().with_header(!*begun);
                builder.build(&mut bytes).write(batch)?;
                *begun = true;
            }
            Form::Arrow(writer) => {
                writer.write(batch)?;
                bytes = std::mem::take(writer.get_mut());
            }
        }
        Ok(bytes)
    }

    /// What comes after the last row. Without any, there are still the columns.
    fn end(&mut self, schema: &SchemaRef) -> Result<Vec<u8>, ArrowError> {
        match self {
            Form::Json | Form::Csv { begun: true } => Ok(Vec::new()),
            Form::Csv { begun: false } => self.encode(&RecordBatch::new_empty(schema.clone())),
            Form::Arrow(writer) => {
                writer.finish()?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{DictionaryArray, Int64Array, StringArray};
    use arrow_ipc::reader::StreamReader;
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

    fn written(mut form: Form, schema: &SchemaRef, batches: &[RecordBatch]) -> Vec<u8> {
        let mut bytes: Vec<u8> = batches.iter().flat_map(|batch| form.encode(batch).unwrap()).collect();
        bytes.extend(form.end(schema).unwrap());
        bytes
    }

    fn text(form: Form, batches: &[RecordBatch]) -> String {
        String::from_utf8(written(form, &schema(), batches)).unwrap()
    }

    fn read(bytes: &[u8]) -> Vec<RecordBatch> {
        StreamReader::try_new(bytes, None).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn rows_are_shown_in_four_ways() {
        assert_eq!(text(Form::Csv { begun: false }, &batches()), "word,n\n\"a,b\",1\n,2\n");
        assert_eq!(text(Form::Json, &batches()), "{\"word\":\"a,b\",\"n\":1}\n{\"word\":null,\"n\":2}\n");
        assert_eq!(read(&written(Form::arrow(&schema()).unwrap(), &schema(), &batches())), batches());
        let table = table("words", 70, &schema(), &batches()).unwrap();
        assert!(table.contains("| a,b  | 1") && table.ends_with("words: 2 of 70 rows\n"), "{table}");
    }

    #[test]
    fn without_rows_the_columns_are_shown() {
        assert_eq!(text(Form::Csv { begun: false }, &[]), "word,n\n");
        assert_eq!(text(Form::Json, &[]), "");
        let bytes = written(Form::arrow(&schema()).unwrap(), &schema(), &[]);
        assert_eq!(StreamReader::try_new(&bytes[..], None).unwrap().schema(), schema());
        assert!(table("words", 0, &schema(), &[]).unwrap().contains("word"));
    }

    #[test]
    fn batches_may_have_dictionaries_of_their_own() {
        let column =
            |words: [&str; 2]| Arc::new(words.into_iter().collect::<DictionaryArray<arrow_array::types::Int32Type>>());
        let batch = |words| RecordBatch::try_from_iter([("word", column(words) as arrow_array::ArrayRef)]).unwrap();
        let batches = [batch(["a", "b"]), batch(["c", "a"])];
        let schema = batches[0].schema();
        assert_eq!(read(&written(Form::arrow(&schema).unwrap(), &schema, &batches)), batches);
    }
}
