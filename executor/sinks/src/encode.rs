//! Formats: batches to bytes. Equal rows give equal bytes, however they are cut into batches.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::writer::{FileWriter as ArrowFile, StreamWriter as ArrowStream};
use arrow_json::writer::{LineDelimited, Writer as JsonWriter, WriterBuilder as JsonBuilder};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use flowc_columns::Recut;
use flowc_planner::plan::{Compression, CsvDialect, Format};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::compress::Compressor;
use crate::error::SinkError;
use crate::plain::plain;

/// Bytes of a Parquet row group: what a writer holds in memory at most.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// The version of a format's writer. It moves when the bytes for equal rows move.
pub fn writer_version(format: &Format) -> &'static str {
    match format {
        Format::Csv(_) => "csv 1",
        Format::JsonLines => "jsonl 1",
        Format::Parquet => "parquet 1",
        Format::Arrow => "arrow 1",
        Format::Lines => "lines 1",
        Format::Bytes => "bytes 1",
        Format::Table => "table 1",
    }
}

/// Writes the batches of one file or stream.
pub(crate) struct Encoder<W: Write + Send> {
    schema: SchemaRef,
    rows: u64,
    kind: Kind<W>,
}

enum Kind<W: Write + Send> {
    Csv { builder: arrow_csv::WriterBuilder, text: Vec<u8>, out: Compressor<W> },
    Json(Box<JsonWriter<Compressor<W>, LineDelimited>>),
    Lines { text: Vec<u8>, out: Compressor<W> },
    Parquet(Recut, Box<ArrowWriter<W>>),
    ArrowFile(Recut, Box<ArrowFile<W>>),
    ArrowStream(Recut, Box<ArrowStream<W>>),
}

/// Whether an Arrow file or an Arrow stream is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    File,
    Stream,
}

impl<W: Write + Send> Encoder<W> {
    /// `compression` is resolved, `schema` has passed [`crate::check`]; `path` is for messages.
    pub(crate) fn new(
        format: &Format,
        compression: Compression,
        framing: Framing,
        schema: &SchemaRef,
        path: &Path,
        out: W,
    ) -> Result<Self, SinkError> {
        let kind = Kind::new(format, compression, framing, schema, out).map_err(|e| SinkError::encode(path, &*e))?;
        let mut encoder = Self { schema: schema.clone(), rows: 0, kind };
        // So that the header is written even if no row comes.
        encoder.write(&RecordBatch::new_empty(schema.clone()), path)?;
        Ok(encoder)
    }

    /// Writes rows. The batch's columns must be the schema's.
    pub(crate) fn write(&mut self, batch: &RecordBatch, path: &Path) -> Result<(), SinkError> {
        if let Kind::Lines { text, .. } = &mut self.kind {
            text.clear();
            lines(batch.column(0), text).map_err(|row| SinkError::Value {
                path: path.to_owned(),
                row: self.rows + row,
                reason: LINE_BREAK,
            })?;
        }
        self.kind.write(batch, &self.schema).map_err(|error| SinkError::encode(path, &*error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Number of rows written.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes the end and gives back what was written to.
    pub(crate) fn finish(self, path: &Path) -> Result<W, SinkError> {
        self.kind.finish().map_err(|error| SinkError::encode(path, &*error))
    }
}

/// An encoder's error; [`SinkError::encode`] looks for the system call's within it.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

impl<W: Write + Send> Kind<W> {
    fn new(
        format: &Format,
        compression: Compression,
        framing: Framing,
        schema: &SchemaRef,
        out: W,
    ) -> Result<Self, AnyError> {
        Ok(match format {
            Format::Csv(dialect) => {
                Kind::Csv { builder: csv_builder(dialect), text: Vec::new(), out: Compressor::new(compression, out)? }
            }
            Format::JsonLines => {
                // A null is written out, so that a column without values is still seen.
                let builder = JsonBuilder::new().with_explicit_nulls(true);
                Kind::Json(Box::new(builder.build(Compressor::new(compression, out)?)))
            }
            Format::Parquet => {
                let writer = ArrowWriter::try_new(out, schema.clone(), Some(parquet_properties(compression)?))?;
                Kind::Parquet(Recut::new(schema.clone()), Box::new(writer))
            }
            Format::Arrow => {
                let plain = plain_schema(schema);
                let recut = Recut::new(plain.clone());
                match framing {
                    Framing::File => Kind::ArrowFile(recut, Box::new(ArrowFile::try_new(out, &plain)?)),
                    Framing::Stream => Kind::ArrowStream(recut, Box::new(ArrowStream::try_new(out, &plain)?)),
                }
            }
            Format::Lines | Format::Bytes | Format::Table => {
                Kind::Lines { text: Vec::new(), out: Compressor::new(compression, out)? }
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch, schema: &SchemaRef) -> Result<(), AnyError> {
        match self {
            Kind::Csv { builder, text, out } => {
                text.clear();
                builder.clone().build(&mut *text).write(&plain(batch)?)?;
                *builder = builder.clone().with_header(false);
                out.write_all(text)?;
            }
            Kind::Json(writer) => writer.write(&plain(batch)?)?,
            Kind::Lines { text, out } => out.write_all(text)?,
            Kind::Parquet(recut, writer) => {
                for batch in recut.push(batch.clone())? {
                    writer.write(&batch)?;
                }
            }
            Kind::ArrowFile(recut, writer) => {
                for batch in recut.push(plain_batch(batch, schema)?)? {
                    writer.write(&batch)?;
                }
            }
            Kind::ArrowStream(recut, writer) => {
                for batch in recut.push(plain_batch(batch, schema)?)? {
                    writer.write(&batch)?;
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<W, AnyError> {
        Ok(match self {
            Kind::Csv { out, .. } | Kind::Lines { out, .. } => out.finish()?,
            Kind::Json(mut writer) => {
                writer.finish()?;
                writer.into_inner().finish()?
            }
            Kind::Parquet(recut, mut writer) => {
                if let Some(rest) = recut.finish()? {
                    writer.write(&rest)?;
                }
                writer.into_inner()?
            }
            Kind::ArrowFile(recut, mut writer) => {
                if let Some(rest) = recut.finish()? {
                    writer.write(&rest)?;
                }
                writer.into_inner()?
            }
            Kind::ArrowStream(recut, mut writer) => {
                if let Some(rest) = recut.finish()? {
                    writer.write(&rest)?;
                }
                writer.into_inner()?
            }
        })
    }
}

fn csv_builder(dialect: &CsvDialect) -> arrow_csv::WriterBuilder {
    // `check` has seen to it that both are ASCII.
    let byte = |c: char| u8::try_from(c).unwrap_or(b',');
    let builder = arrow_csv::WriterBuilder::new()
        .with_header(dialect.header)
        .with_delimiter(byte(dialect.delimiter))
        .with_quote(byte(dialect.quote))
        .with_null(dialect.null.clone());
    match dialect.escape {
        Some(escape) => builder.with_escape(byte(escape)).with_double_quote(false),
        None => builder,
    }
}

/// Parquet compresses its pages; unless the text says otherwise, by Zstandard at its fastest level.
fn parquet_properties(compression: Compression) -> Result<WriterProperties, AnyError> {
    let codec = match compression {
        Compression::Auto => Codec::ZSTD(ZstdLevel::try_new(1)?),
        Compression::Zstd => Codec::ZSTD(ZstdLevel::try_new(3)?),
        Compression::Gzip => Codec::GZIP(GzipLevel::default()),
        Compression::None => Codec::UNCOMPRESSED,
    };
    Ok(WriterProperties::builder()
        .set_compression(codec)
        .set_created_by("flowc version 1".to_owned())
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build())
}

/// The schema with dictionaries at the top level as plain values: an Arrow file can't replace a dictionary, and
/// segments have dictionaries of their own.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, value) => Arc::new(field.as_ref().clone().with_data_type(value.as_ref().clone())),
        _ => field.clone(),
    };
    let fields: Vec<_> = schema.fields().iter().map(plain).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let plain = |column: &ArrayRef| match column.data_type() {
        DataType::Dictionary(_, value) => arrow_cast::cast(column, value),
        _ => Ok(column.clone()),
    };
    let columns = batch.columns().iter().map(plain).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(plain_schema(schema), columns, &options)
}

const LINE_BREAK: &str = "its text has a line break, so it would be read back as two rows; write csv or jsonl instead";

/// Appends a column of text as lines; a null is an empty one. Gives the row whose text is more than one line.
fn lines(column: &ArrayRef, text: &mut Vec<u8>) -> Result<(), u64> {
    let mut line = |(row, value): (usize, Option<&str>)| {
        let value = value.unwrap_or_default();
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
        if value.contains('\n') { Err(row as u64) } else { Ok(()) }
    };
    match column.data_type() {
        DataType::LargeUtf8 => column.as_string::<i64>().iter().enumerate().try_for_each(&mut line),
        DataType::Utf8View => column.as_string_view().iter().enumerate().try_for_each(&mut line),
        _ => column.as_string::<i32>().iter().enumerate().try_for_each(&mut line),
    }
}

/// A sink that takes bytes and drops them, to try a format on a schema.
pub(crate) fn probe(format: &Format, schema: &SchemaRef, row: &RecordBatch) -> Result<(), SinkError> {
    let path = Path::new("");
    let mut encoder = Encoder::new(format, Compression::None, Framing::File, schema, path, io::sink())?;
    encoder.write(row, path)?;
    encoder.finish(path).map(drop)
}
