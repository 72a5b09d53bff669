//! Formats: batches to bytes. Equal rows give equal bytes, however they are cut into batches.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::writer::{FileWriter as ArrowFile, StreamWriter as ArrowStream};
use arrow_json::writer::{LineDelimited, Writer as JsonWriter, WriterBuilder as JsonBuilder};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use flowc_codec::{JsonNumbers, find_odd};
use flowc_columns::Rechunk;
use flowc_planner::plan::{Compression, Format};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression as Codec, GzipLevel, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::SinkError;
#[cfg(feature = "avro")]
use crate::formats::avro::AvroFile;
use crate::formats::coerce::{coerce, coerced_schema};
use crate::formats::compress::Compressor;
use crate::formats::csv::CsvWriter;
use crate::formats::misfit::Misfit;
use crate::formats::plain::plain;

/// Bytes of a Parquet row group: what a writer holds in memory at most.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// The version of a format's writer. It moves when the bytes for equal rows move.
pub(crate) fn writer_version(format: &Format) -> &'static str {
    match format {
        Format::Csv(_) => "csv 2",
        Format::JsonLines => "jsonl 3",
        Format::Parquet => "parquet 2",
        Format::Arrow => "arrow 1",
        Format::Lines => "lines 2",
        Format::Bytes => "bytes 1",
        Format::Table => "table 1",
        Format::Avro(_) => "avro 1",
        Format::Protobuf(_) => "protobuf 1",
        Format::Debezium(_) => "debezium 1",
    }
}

/// Writes the batches of one file or stream.
pub(crate) struct Encoder<W: Write + Send> {
    schema: SchemaRef,
    rows: u64,
    kind: Kind<W>,
}

enum Kind<W: Write + Send> {
    Csv {
        writer: Box<CsvWriter>,
        text: Vec<u8>,
        out: Compressor<W>,
    },
    Json(Box<JsonWriter<Compressor<W>, LineDelimited>>),
    Lines {
        text: Vec<u8>,
        out: Compressor<W>,
    },
    /// With the columns as they are written.
    Parquet(SchemaRef, Rechunk, Box<ArrowWriter<W>>),
    ArrowFile(Rechunk, Box<ArrowFile<W>>),
    ArrowStream(Rechunk, Box<ArrowStream<W>>),
    #[cfg(feature = "avro")]
    Avro(Box<AvroFile<W>>),
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
        let kind = Kind::new(format, compression, framing, schema, out);
        let kind = kind.map_err(|error| SinkError::encode(path, 0, &*error))?;
        let mut encoder = Self { schema: schema.clone(), rows: 0, kind };
        // So that Arrow's and Parquet's writers have seen the columns even if no row comes.
        encoder.write(&RecordBatch::new_empty(schema.clone()), path)?;
        Ok(encoder)
    }

    /// Writes rows. The batch's columns must be the schema's.
    pub(crate) fn write(&mut self, batch: &RecordBatch, path: &Path) -> Result<(), SinkError> {
        let written = self.kind.write(batch, &self.schema, self.rows == 0);
        written.map_err(|error| SinkError::encode(path, self.rows, &*error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Number of rows written.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Writes the end and gives back what was written to.
    pub(crate) fn finish(self, path: &Path) -> Result<W, SinkError> {
        self.kind.finish().map_err(|error| SinkError::encode(path, self.rows, &*error))
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
                let (writer, mut text) = (Box::new(CsvWriter::new(dialect)), Vec::new());
                writer.header(schema, &mut text);
                let mut out = Compressor::new(compression, out)?;
                out.write_all(&text)?;
                Kind::Csv { writer, text, out }
            }
            Format::JsonLines => {
                // A null is written out, so that a column without values is still seen.
                let builder = JsonBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(JsonNumbers));
                Kind::Json(Box::new(builder.build(Compressor::new(compression, out)?)))
            }
            Format::Parquet => {
                let coerced = coerced_schema(schema);
                let writer = ArrowWriter::try_new(out, coerced.clone(), Some(parquet_properties(compression)?))?;
                Kind::Parquet(coerced.clone(), Rechunk::new(coerced), Box::new(writer))
            }
            Format::Arrow => {
                let plain = plain_schema(schema);
                let recut = Rechunk::new(plain.clone());
                match framing {
                    Framing::File => Kind::ArrowFile(recut, Box::new(ArrowFile::try_new(out, &plain)?)),
                    Framing::Stream => Kind::ArrowStream(recut, Box::new(ArrowStream::try_new(out, &plain)?)),
                }
            }
            #[cfg(feature = "avro")]
            Format::Avro(_) => Kind::Avro(Box::new(AvroFile::new(format, compression, schema, out)?)),
            #[cfg(not(feature = "avro"))]
            Format::Avro(_) => return Err("this flowc was built without Avro".into()),
            // Formats of records alone are encoded one by one, elsewhere.
            Format::Lines | Format::Bytes | Format::Table | Format::Protobuf(_) | Format::Debezium(_) => {
                Kind::Lines { text: Vec::new(), out: Compressor::new(compression, out)? }
            }
        })
    }

    /// `first`: no row has been written before.
    fn write(&mut self, batch: &RecordBatch, schema: &SchemaRef, first: bool) -> Result<(), AnyError> {
        match self {
            Kind::Csv { writer, text, out } => {
                text.clear();
                writer.rows(&plain(batch)?, text)?;
                out.write_all(text)?;
            }
            Kind::Json(writer) => {
                let batch = plain(batch)?;
                if let Some((row, odd)) = find_odd(&batch) {
                    let reason = format!("{}; write parquet or arrow, or null in a stage before the sink", odd.reason);
                    return Err(Misfit::new(row, &odd.column, reason).into());
                }
                writer.write(&batch)?;
            }
            Kind::Lines { text, out } => {
                text.clear();
                lines(batch, first, text)?;
                out.write_all(text)?;
            }
            Kind::Parquet(coerced, recut, writer) => {
                for batch in recut.push(coerce(batch, coerced)?)? {
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
            #[cfg(feature = "avro")]
            Kind::Avro(file) => file.write(batch)?,
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
            Kind::Parquet(_, recut, mut writer) => {
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
            #[cfg(feature = "avro")]
            Kind::Avro(file) => file.finish()?,
        })
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

/// Appends a column of text as lines. `first`: they are the first of the file.
fn lines(batch: &RecordBatch, first: bool, text: &mut Vec<u8>) -> Result<(), AnyError> {
    let column = arrow_cast::cast(batch.column(0), &DataType::LargeUtf8)?;
    for (row, line) in column.as_string::<i64>().iter().enumerate() {
        let misfit = |reason: &str| {
            let reason = format!("{reason}; write csv or jsonl instead");
            Misfit::new(row, batch.schema_ref().field(0).name(), reason)
        };
        match line {
            None => return Err(misfit("a null would be read back as an empty line").into()),
            Some(line) if line.contains('\n') => return Err(misfit("a line break would make two lines of it").into()),
            Some(line) if line.ends_with('\r') => return Err(misfit("its last character is part of a line end").into()),
            Some(line) if first && row == 0 && line.starts_with('\u{feff}') => {
                return Err(misfit("it starts with a mark that readers leave out of a file").into());
            }
            Some(line) => text.extend_from_slice(line.as_bytes()),
        }
        text.push(b'\n');
    }
    Ok(())
}

/// A sink that takes bytes and drops them, to try a format on a schema.
pub(crate) fn probe(format: &Format, schema: &SchemaRef, row: &RecordBatch) -> Result<(), SinkError> {
    let path = Path::new("");
    let mut encoder = Encoder::new(format, Compression::None, Framing::File, schema, path, io::sink())?;
    encoder.write(row, path)?;
    encoder.finish(path).map(drop)
}
