//! The values of records, by format.

use std::path::Path;

use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use flowc_planner::plan::{Compression, Format};
use flowc_records::{AvroEncoder, Message, ProtobufEncoder, ValueError, ipc, protobuf_columns};

use super::bytes::bytes;
use crate::error::SinkError;
use crate::formats::avro::{self, avro_schema, unfit};
use crate::formats::encode::{Encoder, Framing};
use crate::formats::handover::Handover;
use crate::formats::misfit::Misfit;

/// Makes a value of each row.
pub(super) enum ValueEncoder {
    /// An object each, handed over line by line.
    Json(Box<(Encoder<Handover>, Handover)>),
    /// A record of Avro each.
    Avro(Box<AvroEncoder>),
    /// A message of Protocol Buffers each.
    Protobuf(Box<ProtobufEncoder>),
    /// A stream of Arrow IPC each.
    Arrow,
    /// The one column is the value.
    Plain,
}

impl ValueEncoder {
    /// An encoder of rows with these columns. `id` is that of the schema in a registry, where records begin with it.
    pub(super) fn new(format: &Format, id: Option<u32>, rows: &SchemaRef, shown: &Path) -> Result<Self, SinkError> {
        Ok(match format {
            Format::JsonLines => {
                let out = Handover::default();
                let encoder = Encoder::new(format, Compression::None, Framing::Stream, rows, shown, out.clone())?;
                Self::Json(Box::new((encoder, out)))
            }
            Format::Avro(_) => {
                let encoder = AvroEncoder::new(&avro_schema(format, rows)?, id, rows);
                Self::Avro(Box::new(encoder.map_err(unfit)?))
            }
            Format::Protobuf(protobuf) => {
                let (message, columns) = (Message::new(protobuf).map_err(unfit)?, protobuf_columns(protobuf));
                let encoder = ProtobufEncoder::new(message, &columns.map_err(unfit)?, id, rows);
                Self::Protobuf(Box::new(encoder.map_err(unfit)?))
            }
            Format::Arrow => Self::Arrow,
            _ => Self::Plain,
        })
    }

    /// Gives the value of each row, in order; none is a tombstone. `before` is the number of rows that were encoded before.
    pub(super) fn encode(
        &mut self,
        rows: &RecordBatch,
        shown: &Path,
        before: u64,
        take: &mut dyn FnMut(Option<&[u8]>),
    ) -> Result<(), SinkError> {
        let misfit = |error: ValueError| {
            let misfit: Box<dyn std::error::Error + Send + Sync> =
                Misfit::new(error.row, &error.column, error.reason).into();
            SinkError::encode(shown, before, &*misfit)
        };
        match self {
            Self::Json(json) => {
                let (encoder, out) = json.as_mut();
                encoder.write(rows, shown)?;
                // A line end within a text is escaped.
                let lines = out.take();
                lines.split(|byte| *byte == b'\n').take(rows.num_rows()).for_each(|value| take(Some(value)));
            }
            Self::Avro(encoder) => encoder.encode(rows, &mut |value| take(Some(value))).map_err(misfit)?,
            Self::Protobuf(encoder) => encoder.encode(rows, &mut |value| take(Some(value))).map_err(misfit)?,
            Self::Arrow => {
                let encoded = ipc::encode(rows, &mut |value| take(Some(value)));
                encoded.map_err(|error| SinkError::encode(shown, before, &error))?;
            }
            Self::Plain => {
                let values = bytes(rows.column(0)).map_err(|error| SinkError::batch(shown, &error))?;
                (0..rows.num_rows()).for_each(|row| take(values.is_valid(row).then(|| values.value(row))));
            }
        }
        Ok(())
    }
}

/// Says whether records of a format can have these columns. What a registry has is seen when the run begins to write.
pub(super) fn check(format: &Format, rows: &SchemaRef) -> Result<(), SinkError> {
    match format {
        Format::Avro(avro) => match (&avro.schema, avro.registry.as_ref().and_then(|registry| registry.version)) {
            (None, Some(_)) => Ok(()),
            _ => avro::check(format, rows),
        },
        Format::Protobuf(protobuf) => {
            let columns = protobuf_columns(protobuf).map_err(unfit)?;
            ProtobufEncoder::check(&columns, rows).map(drop).map_err(unfit)
        }
        _ => Ok(()),
    }
}
