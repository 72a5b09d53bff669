//! `flowc show OUTPUT`: the first rows of a stream.

use arrow_schema::ArrowError;
use flowc_executor::Preview;
use flowc_planner::quantity::count;

use super::{Context, printed};
use crate::args::ShowArgs;
use crate::exit::Exit;
use crate::report::Failure;
use crate::terminal::harmless;

pub(super) fn run(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let preview = context.session(&args.pipeline, false)?.show(&args.output, args.rows)?;
    let text = match (args.json, args.csv) {
        (true, _) => json_lines(&preview),
        (_, true) => csv(&preview),
        _ => table(&preview),
    };
    let unprintable = |error: ArrowError| {
        Failure::command(format!("`{}` cannot be printed so: {error}; try without --csv or --json", args.output))
    };
    printed(&text.map_err(unprintable)?)
}

fn table(preview: &Preview) -> Result<String, ArrowError> {
    Ok(harmless(&format!("{}\n{}\n", preview.table()?, closing(preview))))
}

fn closing(preview: &Preview) -> String {
    let shown: usize = preview.batches.iter().map(|batch| batch.num_rows()).sum();
    format!("{}: {shown} of {}", preview.name, count(preview.rows, "row"))
}

fn csv(preview: &Preview) -> Result<String, ArrowError> {
    let mut bytes = Vec::new();
    let mut writer = arrow_csv::WriterBuilder::new().with_header(true).build(&mut bytes);
    if preview.batches.is_empty() {
        writer.write(&arrow_array::RecordBatch::new_empty(preview.schema.clone()))?;
    }
    preview.batches.iter().try_for_each(|batch| writer.write(batch))?;
    drop(writer);
    text(bytes)
}

fn json_lines(preview: &Preview) -> Result<String, ArrowError> {
    let mut bytes = Vec::new();
    let builder = arrow_json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, arrow_json::writer::LineDelimited>(&mut bytes);
    preview.batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()?;
    drop(writer);
    text(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String, ArrowError> {
    String::from_utf8(bytes).map_err(|error| ArrowError::ExternalError(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, RecordBatch, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    fn preview(rows: usize) -> Preview {
        let fields = vec![Field::new("word", DataType::Utf8, true), Field::new("n", DataType::Int64, false)];
        let schema = Arc::new(Schema::new(fields));
        let words = StringArray::from(vec![Some("a,b"), None]).slice(0, rows);
        let numbers = Int64Array::from(vec![1, 2]).slice(0, rows);
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(words), Arc::new(numbers)]).unwrap();
        let batches = if rows == 0 { vec![] } else { vec![batch] };
        Preview { name: "words".into(), schema, batches, rows: 70 }
    }

    #[test]
    fn rows_are_shown_in_three_ways() {
        assert_eq!(csv(&preview(2)).unwrap(), "word,n\n\"a,b\",1\n,2\n");
        assert_eq!(json_lines(&preview(2)).unwrap(), "{\"word\":\"a,b\",\"n\":1}\n{\"word\":null,\"n\":2}\n");
        let table = table(&preview(2)).unwrap();
        assert!(table.contains("| a,b  | 1") && table.ends_with("words: 2 of 70 rows\n"), "{table}");
    }

    #[test]
    fn without_rows_the_columns_are_shown() {
        assert_eq!(csv(&preview(0)).unwrap(), "word,n\n");
        assert_eq!(json_lines(&preview(0)).unwrap(), "");
        assert!(table(&preview(0)).unwrap().contains("word"));
    }
}
