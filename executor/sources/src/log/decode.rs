//! Values of records to rows, one decoder per format.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray, UInt64Array};
use arrow_schema::{ArrowError, SchemaRef};
use flowc_planner::plan::Format;
use flowc_records::{
    AvroDecoder, Fault, Message, ProtobufDecoder, RegistryError, SchemaError, avro_columns, ipc, protobuf_columns,
};

use crate::error::{NOT_UTF8, SourceError};
use crate::fields::project;
use crate::ignored::Ignored;
use crate::log::reading::SharedSchemas;
use crate::text::json::JsonParser;
use crate::text::parser::{BadRecord, Parser};

/// Turns values into columns.
pub(super) enum RowDecoder {
    /// A JSON object each.
    Json(Box<JsonParser>),
    /// A record of Avro each.
    Avro(Box<AvroDecoder>),
    /// A message of Protocol Buffers each.
    Protobuf(Box<ProtobufDecoder>),
    /// A stream of Arrow IPC each, for these columns.
    Arrow(SchemaRef),
    /// The bytes, as the only column.
    Plain {
        /// The column.
        schema: SchemaRef,
        /// The column, or none.
        projection: Vec<usize>,
        /// Whether it is text.
        text: bool,
    },
}

/// Rows of records.
pub(super) struct Decoded {
    pub(super) batch: RecordBatch,
    /// The record of each row, by its place among the values; none where each value is a row.
    pub(super) records: Option<UInt64Array>,
}

impl RowDecoder {
    /// A decoder of some of the columns of values. `schemas` has those in which records were written.
    pub(super) fn new(
        format: &Format,
        schema: &SchemaRef,
        projection: &[usize],
        schemas: Option<SharedSchemas>,
    ) -> Result<Self, SourceError> {
        Ok(match format {
            Format::JsonLines => Self::Json(Box::new(JsonParser::new(schema, projection))),
            Format::Avro(avro) => {
                let text = avro.schema.as_deref().ok_or_else(|| unfit("the schema of its records is not known"))?;
                let decoder = AvroDecoder::new(text, schemas.map(SharedSchemas::into_inner), projection);
                Self::Avro(Box::new(decoder.map_err(unfit)?))
            }
            Format::Protobuf(protobuf) => {
                let message = Message::new(protobuf).map_err(unfit)?;
                Self::Protobuf(Box::new(ProtobufDecoder::new(message, schema, projection)))
            }
            Format::Arrow => Self::Arrow(project(schema, projection)),
            format => {
                let (schema, projection) = (schema.clone(), projection.to_vec());
                Self::Plain { schema, projection, text: *format == Format::Lines }
            }
        })
    }

    /// The columns that follow from a format's schema.
    pub(super) fn columns(format: &Format) -> Result<SchemaRef, SourceError> {
        let columns: Result<SchemaRef, SchemaError> = match format {
            Format::Avro(avro) => avro_columns(avro.schema.as_deref().unwrap_or_default()),
            Format::Protobuf(protobuf) => protobuf_columns(protobuf),
            other => return Err(unfit(format!("records of {} have no schema", other.record_name()))),
        };
        columns.map_err(unfit)
    }

    /// The rows of values; none of the columns may be wanted. Fails if one value does not fit.
    pub(super) fn decode(&mut self, values: &BinaryArray) -> Result<Decoded, ArrowError> {
        let batch = match self {
            Self::Json(parser) => parser.parse_texts(values)?,
            Self::Avro(decoder) => decoder.decode(values).map_err(refused)?,
            Self::Protobuf(decoder) => decoder.decode(values).map_err(refused)?,
            Self::Arrow(columns) => {
                let (batch, records) = ipc::decode(values, columns).map_err(refused)?;
                return Ok(Decoded { batch, records: Some(records) });
            }
            Self::Plain { schema, projection, text } => {
                let column: ArrayRef = if *text { Arc::new(as_text(values)?) } else { Arc::new(values.clone()) };
                let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
                let columns = projection.iter().map(|_| column.clone()).collect();
                RecordBatch::try_new_with_options(project(schema, projection), columns, &options)?
            }
        };
        Ok(Decoded { batch, records: None })
    }

    /// Why this one value does not fit.
    pub(super) fn explain(&mut self, value: &[u8], error: &ArrowError) -> BadRecord {
        match self {
            Self::Json(parser) => parser.explain(value, error),
            Self::Plain { .. } => BadRecord { column: None, reason: NOT_UTF8.to_owned() },
            Self::Avro(_) | Self::Protobuf(_) | Self::Arrow(_) => {
                let reason = match error {
                    ArrowError::ParseError(reason) => reason.clone(),
                    other => other.to_string(),
                };
                BadRecord { column: None, reason }
            }
        }
    }

    /// What the values have that no column takes.
    pub(super) fn take_ignored(&mut self) -> Ignored {
        match self {
            Self::Json(parser) => parser.take_ignored(),
            Self::Avro(_) | Self::Protobuf(_) | Self::Arrow(_) | Self::Plain { .. } => Ignored::default(),
        }
    }
}

fn unfit(reason: impl ToString) -> SourceError {
    SourceError::UnfitFormat { reason: reason.to_string() }
}

fn refused(fault: Fault) -> ArrowError {
    match fault {
        Fault::Record(reason) => ArrowError::ParseError(reason),
        Fault::Registry(error) => ArrowError::ExternalError(Box::new(error)),
    }
}

/// Whether nothing is wrong with records: their registry does not answer.
pub(super) fn is_no_fault_of_records(error: &ArrowError) -> bool {
    matches!(error, ArrowError::ExternalError(inner) if inner.is::<RegistryError>())
}

/// Bytes as text. A slice is checked without what lies beside it.
pub(super) fn as_text(bytes: &BinaryArray) -> Result<StringArray, ArrowError> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| ArrowError::ParseError(NOT_UTF8.to_owned()));
    bytes.iter().map(|bytes| bytes.map(text).transpose()).collect()
}
