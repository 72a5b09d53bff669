//! Avro: the schema of a sink's records, and its container files.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use flowc_planner::plan::{Compression, Format};
use flowc_records::avro_container::Codec;
use flowc_records::{AvroEncoder, ContainerEncoder, EncodeError, schema_of_columns};

use crate::error::SinkError;
use crate::formats::misfit::Misfit;

/// The name of the record in a schema that follows from columns.
const RECORD: &str = "row";

/// The schema of records of Avro: that of the text, or that which follows from the columns.
pub(crate) fn avro_schema(format: &Format, rows: &Schema) -> Result<String, SinkError> {
    match format {
        Format::Avro(avro) if avro.schema.is_some() => Ok(avro.schema.clone().unwrap_or_default()),
        _ => schema_of_columns(rows, RECORD).map_err(unfit),
    }
}

/// Says whether records of the schema can have these columns.
pub(crate) fn check(format: &Format, rows: &Schema) -> Result<(), SinkError> {
    AvroEncoder::check(&avro_schema(format, rows)?, rows).map(drop).map_err(unfit)
}

/// Says whether a file can have these columns. Those of types that Avro does not have are told all at once.
pub(crate) fn check_file(format: &Format, rows: &Schema) -> Result<(), SinkError> {
    let holds = |field: &Field| {
        let alone = Schema::new(vec![field.clone().with_name(RECORD)]);
        schema_of_columns(&alone, RECORD).is_ok()
    };
    let unfit = rows.fields().iter().filter(|field| !holds(field));
    let columns: Vec<_> = unfit.map(|field| (field.name().clone(), field.data_type().clone())).collect();
    if columns.is_empty() {
        return check(format, rows);
    }
    let advice = "write parquet or arrow, or turn the values into another type in a stage before the sink";
    Err(SinkError::Type { columns, format: format.name(), advice })
}

/// That columns and a schema of records do not fit together.
pub(crate) fn unfit(error: impl ToString) -> SinkError {
    SinkError::Spec(error.to_string())
}

/// Writes a container file.
pub(crate) struct AvroFile<W> {
    encoder: ContainerEncoder,
    out: W,
}

impl<W: Write> AvroFile<W> {
    /// Blocks are compressed by what all readers have, unless the text says otherwise.
    pub(crate) fn new(
        format: &Format,
        compression: Compression,
        rows: &SchemaRef,
        out: W,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let codec = match compression {
            Compression::Auto | Compression::Gzip => Codec::Deflate,
            Compression::Zstd => Codec::Zstandard,
            Compression::None => Codec::Null,
        };
        let encoder = ContainerEncoder::new(&avro_schema(format, rows)?, codec, rows)?;
        Ok(Self { encoder, out })
    }

    /// Writes the rows of a batch as blocks of the file.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.encoder.encode(batch).map_err(|error| match error {
            EncodeError::Value(error) => Misfit::new(error.row, &error.column, error.reason).into(),
            other => Box::<dyn std::error::Error + Send + Sync>::from(other),
        })?;
        Ok(self.out.write_all(&self.encoder.take())?)
    }

    /// Writes the last block, and gives back what the file is written to.
    pub(crate) fn finish(self) -> Result<W, Box<dyn std::error::Error + Send + Sync>> {
        let Self { encoder, mut out } = self;
        out.write_all(&encoder.finish()?)?;
        Ok(out)
    }
}
