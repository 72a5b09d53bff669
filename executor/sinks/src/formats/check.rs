//! Whether a sink can hold a stream: everything that can be said before anything is written.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_planner::plan::{Compression, CsvDialect, Format, SinkSpec, Target};
use flowc_platform::guarded;

use crate::error::SinkError;
use crate::files::partition;
use crate::formats::encode;
use crate::formats::types::{is_scalar, is_text};

/// Says whether the sink's settings go together and its format can hold every column.
///
/// # Errors
/// The first thing that does not fit, which setting or which columns, why, and what to do. Columns of types that the format
/// can't hold are told all at once.
pub fn check(spec: &SinkSpec, schema: &Schema) -> Result<(), SinkError> {
    check_target(spec)?;
    check_compression(spec)?;
    if let Format::Csv(dialect) = &spec.format {
        check_dialect(dialect)?;
    }
    let written = written_schema(spec, schema)?;
    if written.fields().is_empty() {
        return Err(refuse("the sink has no column to write; name fewer `partition-by` columns or pass more on"));
    }
    if spec.format == Format::Lines && written.fields().len() != 1 {
        return Err(refuse("format `lines` writes one column of text; select one in a stage before the sink"));
    }
    #[cfg(feature = "databases")]
    if let Target::Database(sink) = &spec.target {
        crate::database::check(sink, schema).map_err(refuse)?;
    }
    #[cfg(feature = "delta")]
    if let Target::Delta(_) = &spec.target {
        return crate::delta::check(&spec.partition_by, schema).map_err(refuse);
    }
    #[cfg(feature = "avro")]
    if let (Format::Avro(_), false) = (&spec.format, matches!(spec.target, Target::Kafka(_))) {
        crate::formats::avro::check_file(&spec.format, &written)?;
    }
    check_types(&spec.format, &written)?;
    written.fields().iter().try_for_each(|field| check_fields(&spec.format, field))?;
    check_repeated(&spec.format, &written)
}

/// The columns that the format gets.
fn written_schema(spec: &SinkSpec, schema: &Schema) -> Result<SchemaRef, SinkError> {
    #[cfg(feature = "kafka")]
    if let Target::Kafka(kafka) = &spec.target {
        crate::log::check(&spec.format, kafka, schema)?;
        let value = schema.project(&kafka.parts.value_columns(&spec.format, schema));
        return value.map(Arc::new).map_err(|error| refuse(error.to_string()));
    }
    partition::written_schema(spec, &Arc::new(schema.clone()))
}

/// Columns of one name: sources refuse a file that has some, or take one of them.
fn check_repeated(format: &Format, schema: &Schema) -> Result<(), SinkError> {
    let mut names = BTreeSet::new();
    match schema.fields().iter().find(|field| !names.insert(field.name())) {
        Some(field) if !matches!(format, Format::Table | Format::Arrow) => {
            let (name, format) = (field.name(), format.name());
            Err(refuse(format!(
                "there are two columns `{name}`, which {format} can't tell apart; rename one before the sink"
            )))
        }
        _ => Ok(()),
    }
}

fn refuse(message: impl Into<String>) -> SinkError {
    SinkError::Spec(message.into())
}

fn check_target(spec: &SinkSpec) -> Result<(), SinkError> {
    match (&spec.target, &spec.format) {
        (
            Target::Kafka(_),
            Format::JsonLines | Format::Lines | Format::Bytes | Format::Arrow | Format::Avro(_) | Format::Protobuf(_),
        ) => Ok(()),
        (Target::Kafka(_), _) => Err(refuse("a record of a topic is json, avro, protobuf, arrow, text or bytes")),
        (_, Format::Protobuf(_) | Format::Debezium(_)) => {
            Err(refuse("this format is for topics; name csv, jsonl, parquet, arrow, avro or lines"))
        }
        (_, Format::Avro(_)) if !cfg!(feature = "avro") => Err(refuse(
            "this flowc was built without the Cargo feature `avro`; name csv, jsonl, parquet, arrow or lines",
        )),
        (_, Format::Bytes) => {
            Err(refuse("format `bytes` is for sources only; name csv, jsonl, parquet, arrow, avro or lines"))
        }
        (Target::Stdout, Format::Parquet | Format::Avro(_)) => {
            let format = spec.format.name();
            Err(refuse(format!("{format} can't go to standard output; name table, csv, jsonl, lines or arrow")))
        }
        (Target::File(_) | Target::Directory(_) | Target::Objects(_), Format::Table) => {
            Err(refuse("format `table` is for standard output only; name csv, jsonl, parquet, arrow, avro or lines"))
        }
        (Target::Delta(_), _) => Ok(()),
        _ if !spec.is_folder() && !spec.partition_by.is_empty() => {
            Err(refuse("`partition-by` needs a folder; write `directory` instead of `file` or `stdout`"))
        }
        (Target::File(path) | Target::Directory(path), _) if Path::new(path).file_name().is_none() => {
            Err(refuse(format!("`{path}` does not end in a name; name a file or a folder")))
        }
        _ => Ok(()),
    }
}

fn check_compression(spec: &SinkSpec) -> Result<(), SinkError> {
    let compresses = matches!(spec.compression, Compression::Gzip | Compression::Zstd);
    match (&spec.format, spec.single_name()) {
        (Format::Arrow, _) if compresses => {
            Err(refuse("arrow files are not compressed here, so that they can be mapped; leave `compression` out"))
        }
        (Format::Table, _) if compresses => {
            Err(refuse("a table for people is not compressed; leave `compression` out"))
        }
        (Format::Parquet | Format::Arrow | Format::Avro(_), Some(path))
            if Compression::Auto.of(path) != Compression::None =>
        {
            Err(refuse(format!(
                "`{path}`: {} is not compressed as a whole; leave `.gz` or `.zst` off the name",
                spec.format.name()
            )))
        }
        _ => Ok(()),
    }
}

/// What [`Compression::Auto`] means for this sink. Parquet and Avro keep it: their own default is meant.
pub(crate) fn resolved_compression(spec: &SinkSpec) -> Compression {
    match (&spec.compression, &spec.format, spec.single_name()) {
        (Compression::Auto, Format::Parquet | Format::Avro(_), _) => Compression::Auto,
        (Compression::Auto, _, Some(path)) => Compression::Auto.of(path),
        (Compression::Auto, ..) => Compression::None,
        (stated, ..) => *stated,
    }
}

fn check_dialect(dialect: &CsvDialect) -> Result<(), SinkError> {
    let marks = [("delimiter", Some(dialect.delimiter)), ("quote", Some(dialect.quote)), ("escape", dialect.escape)];
    for (name, mark) in marks {
        if mark.is_some_and(|c| !c.is_ascii() || matches!(c, '\n' | '\r')) {
            return Err(refuse(format!("csv: `{name}` must be one ASCII character and no line break")));
        }
    }
    if dialect.delimiter == dialect.quote || [dialect.delimiter, dialect.quote].map(Some).contains(&dialect.escape) {
        return Err(refuse("csv: `delimiter`, `quote` and `escape` must differ"));
    }
    if dialect.comment.is_some() {
        return Err(refuse("csv: `comment` is for sources only; leave it out"));
    }
    let unquotable = |c: char| c == dialect.delimiter || c == dialect.quote || matches!(c, '\n' | '\r');
    if dialect.null.contains(unquotable) || dialect.null.starts_with('\u{feff}') {
        return Err(refuse(
            "csv: the `null-text` stands without quotes, so it can't have a delimiter, a quote or a line break in it; name \
             another",
        ));
    }
    Ok(())
}

fn check_types(format: &Format, schema: &Schema) -> Result<(), SinkError> {
    let unfit = schema.fields().iter().filter(|field| !holds(format, field));
    let columns: Vec<_> = unfit.map(|field| (field.name().clone(), field.data_type().clone())).collect();
    match columns.is_empty() {
        true => Ok(()),
        false => {
            let advice = advice(format, &columns);
            Err(SinkError::Type { columns, format: format.name(), advice })
        }
    }
}

/// Whether a format has values for those of a column.
fn holds(format: &Format, field: &Field) -> bool {
    let fits = match format {
        Format::Csv(_) => is_csv(field.data_type()),
        Format::JsonLines => is_json(field.data_type()),
        Format::Lines => is_text(field.data_type()),
        Format::Arrow => !has_dictionary_within(field.data_type()),
        Format::Parquet => is_parquet(field.data_type()),
        // Avro and Protocol Buffers hold columns against their schemas.
        Format::Bytes | Format::Table | Format::Avro(_) | Format::Protobuf(_) | Format::Debezium(_) => return true,
    };
    fits && probe(format, field)
}

fn check_fields(format: &Format, field: &Field) -> Result<(), SinkError> {
    match format {
        Format::JsonLines | Format::Parquet => check_names(format, field.name(), children(field.data_type())),
        _ => Ok(()),
    }
}

/// Fields of one name: of two members of an object, readers take one.
fn check_names(format: &Format, column: &str, fields: Vec<&Field>) -> Result<(), SinkError> {
    if let Some((_, twice)) =
        fields.iter().enumerate().find(|(i, field)| fields[..*i].iter().any(|f| f.name() == field.name()))
    {
        let (name, format) = (twice.name(), format.name());
        return Err(refuse(format!(
            "column `{column}` has the field `{name}` twice, of which readers of {format} would take one; write arrow, or \
             rename it in a stage before the sink"
        )));
    }
    fields.into_iter().try_for_each(|field| check_names(format, column, children(field.data_type())))
}

fn advice(format: &Format, columns: &[(String, DataType)]) -> &'static str {
    let is_span = |data_type: &DataType| matches!(data_type, DataType::Duration(_) | DataType::Interval(_));
    let has_span = columns.iter().any(|(_, data_type)| has(data_type, &is_span));
    match format {
        Format::Csv(_) | Format::JsonLines | Format::Lines | Format::Parquet if has_span => {
            "write arrow, or turn the values into text or numbers in a stage before the sink: in SQL `extract(epoch FROM ...)` \
             has the seconds of a duration"
        }
        Format::Parquet => "write arrow, or turn the values into another type in a stage before the sink",
        Format::Arrow => "write parquet, or turn the dictionaries into plain values in a stage before the sink",
        _ => "write parquet or arrow, or turn the values into text in a stage before the sink",
    }
}

/// Whether the encoder takes the column: tried on one null, since not every refusal is in its tables. That null may be
/// one that the format has no place for.
fn probe(format: &Format, field: &Field) -> bool {
    let schema: SchemaRef = Arc::new(Schema::new(vec![field.clone().with_nullable(true)]));
    let row = RecordBatch::try_new(schema.clone(), vec![new_null_array(field.data_type(), 1)]);
    let takes = |row| matches!(encode::probe(format, &schema, &row), Ok(()) | Err(SinkError::Value { .. }));
    row.is_ok_and(|row| guarded(|| takes(row)) == Ok(true))
}

fn is_csv(data_type: &DataType) -> bool {
    is_scalar(data_type)
}

fn is_json(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            is_json(item.data_type())
        }
        DataType::ListView(item) | DataType::LargeListView(item) => is_json(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| is_json(field.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => pair.len() == 2 && is_text(pair[0].data_type()) && is_json(pair[1].data_type()),
            _ => false,
        },
        other => is_scalar(other),
    }
}

/// Whether a dictionary lies below the top level, where it can't be turned into plain values.
fn has_dictionary_within(data_type: &DataType) -> bool {
    let is_dictionary = |data_type: &DataType| matches!(data_type, DataType::Dictionary(..));
    match data_type {
        DataType::Dictionary(_, value) => has(value, &is_dictionary),
        other => children(other).into_iter().any(|child| has(child.data_type(), &is_dictionary)),
    }
}

/// Parquet has no unions; of durations and intervals readers would see bare numbers and bytes. Its writer panics at values that have no bytes
/// and at dictionaries of views, its reader at dictionaries of truth values.
fn is_parquet(data_type: &DataType) -> bool {
    !has(data_type, &|data_type| match data_type {
        DataType::Union(..) | DataType::Duration(_) | DataType::Interval(_) | DataType::FixedSizeBinary(0) => true,
        DataType::Dictionary(_, value) => {
            matches!(**value, DataType::Utf8View | DataType::BinaryView | DataType::Boolean)
        }
        _ => false,
    })
}

/// Whether a type or one within it is such a one.
fn has(data_type: &DataType, such: &dyn Fn(&DataType) -> bool) -> bool {
    let within = |data_type: &DataType| has(data_type, such);
    such(data_type)
        || matches!(data_type, DataType::Dictionary(_, value) if within(value))
        || children(data_type).into_iter().any(|child| within(child.data_type()))
}

fn children(data_type: &DataType) -> Vec<&Field> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => vec![item.as_ref()],
        DataType::ListView(item) | DataType::LargeListView(item) | DataType::Map(item, _) => vec![item.as_ref()],
        DataType::Struct(fields) => fields.iter().map(AsRef::as_ref).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.as_ref()).collect(),
        DataType::RunEndEncoded(_, values) => vec![values.as_ref()],
        _ => Vec::new(),
    }
}
