//! The columns of a file whose source does not declare them.

use std::io::{BufReader, Read};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::plan::{CsvDialect, Format, SourceSpec};

use crate::columnar::guarded;
use crate::csv::{check_dialect, format};
use crate::error::SourceError;
use crate::file::{no_source, plain};
use crate::framing::{CsvFraming, Framing};
use crate::infer::Shape;
use crate::list::SourceFile;
use crate::spool::{decompress, resolve, unreadable};
use crate::view::View;
use crate::{ipc, parquet};

/// How many records of a text file are looked at.
const SAMPLE_RECORDS: usize = 10_000;

/// How many bytes of a text file are looked at.
const SAMPLE_BYTES: u64 = 64 << 20;

/// The columns of a format that always gives the same ones: `lines` and `bytes`.
pub fn fixed_schema(format: &Format) -> Option<SchemaRef> {
    let fields = match format {
        Format::Lines => vec![Field::new("line", DataType::Utf8, false)],
        Format::Bytes => {
            vec![Field::new("path", DataType::Utf8, false), Field::new("content", DataType::Binary, false)]
        }
        _ => return None,
    };
    Some(Arc::new(Schema::new(fields)))
}

/// The columns of a file. Parquet and Arrow say them. CSV and JSON lines show them in their first 10000 records, as far
/// as these make sense; there every column may have nulls, and one that has nothing else is text.
pub fn infer_schema(file: &SourceFile, spec: &SourceSpec) -> Result<SchemaRef, SourceError> {
    match &spec.format {
        Format::Csv(dialect) => infer_csv(&Sample::of(file, spec)?, dialect),
        Format::JsonLines => infer_json(&Sample::of(file, spec)?),
        Format::Parquet => Ok(parquet::load(&seekable(file, spec)?)?.schema().clone()).map(without_metadata),
        Format::Arrow => Ok(ipc::Index::load(&seekable(file, spec)?)?.schema().clone()).map(without_metadata),
        Format::Table => Err(no_source()),
        fixed => fixed_schema(fixed).ok_or_else(no_source),
    }
}

/// Metadata of a whole file (a writer's notes, pandas' index) belongs to no column.
fn without_metadata(schema: SchemaRef) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().clone()))
}

fn seekable(file: &SourceFile, spec: &SourceSpec) -> Result<View, SourceError> {
    Ok(plain(file, spec.compression, &std::env::temp_dir())?.0)
}

/// The start of a text file.
struct Sample {
    name: String,
    bytes: Vec<u8>,
    /// Whether the file is longer.
    cut: bool,
}

impl Sample {
    fn of(file: &SourceFile, spec: &SourceSpec) -> Result<Self, SourceError> {
        let origin = std::fs::File::open(&file.path).map_err(SourceError::io(&file.name, "open it"))?;
        let compression = resolve(spec.compression, &file.name);
        let broken = |error| unreadable(error, compression, &file.name);
        let plain = decompress(origin, compression).map_err(broken)?;
        let mut bytes = Vec::new();
        BufReader::new(plain).take(SAMPLE_BYTES).read_to_end(&mut bytes).map_err(broken)?;
        let cut = bytes.len() as u64 == SAMPLE_BYTES;
        if bytes.starts_with(b"\xEF\xBB\xBF") {
            bytes.drain(..3);
        }
        Ok(Self { name: file.name.clone(), bytes, cut })
    }

    /// Its first records.
    fn records(&self, framing: Framing) -> impl Iterator<Item = &[u8]> {
        let mut at = 0;
        let records = std::iter::from_fn(move || {
            let next = if self.cut { framing.record(&self.bytes, at) } else { framing.last_record(&self.bytes, at) };
            let record = next?;
            at = record.end;
            Some(&self.bytes[record])
        });
        records.take(SAMPLE_RECORDS + 1)
    }
}

fn infer_csv(sample: &Sample, dialect: &CsvDialect) -> Result<SchemaRef, SourceError> {
    check_dialect(dialect)?;
    let records: Vec<_> = sample.records(Framing::Csv(CsvFraming::new(dialect))).collect();
    if records.is_empty() {
        let reason = "it is empty, so its columns are unknown; declare a schema".to_owned();
        return Err(SourceError::Damaged { file: sample.name.clone(), format: "csv", reason });
    }
    // Bad rows are dealt with when rows are read: here, bytes that are not text must not be in the way.
    let text = String::from_utf8_lossy(&records.concat()).into_owned();
    let format = format(dialect)?.with_header(dialect.header).with_truncated_rows(true);
    let inferred = guarded(|| format.infer_schema(text.as_bytes(), Some(SAMPLE_RECORDS)));
    let (schema, _) =
        inferred.map_err(|reason| SourceError::Damaged { file: sample.name.clone(), format: "csv", reason })?;
    check_names(&sample.name, &schema)?;
    Ok(Arc::new(Schema::new(schema.fields().iter().map(|field| null_to_text(field)).collect::<Vec<_>>())))
}

fn null_to_text(field: &Field) -> Field {
    match field.data_type() {
        DataType::Null => field.clone().with_data_type(DataType::Utf8),
        _ => field.clone(),
    }
}

fn check_names(file: &str, schema: &Schema) -> Result<(), SourceError> {
    let mut names = std::collections::HashSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(field) => Err(SourceError::RepeatedColumn { file: file.to_owned(), column: field.name().clone() }),
        None => Ok(()),
    }
}

fn infer_json(sample: &Sample) -> Result<SchemaRef, SourceError> {
    let mut shape = Shape::Nothing;
    for record in sample.records(Framing::JsonLines) {
        if let Ok(value @ serde_json::Value::Object(_)) = serde_json::from_slice(record) {
            shape = shape.with(&value);
        }
    }
    match shape.data_type() {
        DataType::Struct(fields) if !fields.is_empty() => Ok(Arc::new(Schema::new(fields))),
        _ => {
            let reason = "it has no objects, so its columns are unknown; declare a schema".to_owned();
            Err(SourceError::Damaged { file: sample.name.clone(), format: "jsonl", reason })
        }
    }
}
