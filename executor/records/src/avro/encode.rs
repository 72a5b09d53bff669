//! Rows to bytes of Avro.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_avro::schema::{FingerprintStrategy, SCHEMA_METADATA_KEY};
use arrow_avro::writer::format::{AvroBinaryFormat, AvroSoeFormat};
use arrow_avro::writer::{Encoder, WriterBuilder};
use arrow_schema::{Schema, SchemaRef};

use super::columns::{columns, native};
use super::values::{fits, to_native};
use crate::fault::{SchemaError, ValueError};

/// Encodes rows as records of a schema.
pub struct AvroEncoder {
    encoder: Encoder,
    native: SchemaRef,
    /// Which of a batch's columns each field takes.
    places: Vec<usize>,
}

impl AvroEncoder {
    /// An encoder of rows with these columns. Records begin with an id, if there is one.
    ///
    /// # Errors
    /// If columns and fields of the schema do not fit together.
    pub fn new(schema: &str, id: Option<u32>, rows: &Schema) -> Result<Self, SchemaError> {
        let places = Self::check(schema, rows)?;
        let native = native(schema)?;
        let metadata = [(SCHEMA_METADATA_KEY.to_owned(), schema.to_owned())].into();
        let builder = WriterBuilder::new(Schema::new_with_metadata(native.fields().clone(), metadata));
        let encoder = match id {
            Some(id) => builder.with_fingerprint_strategy(FingerprintStrategy::Id(id)).build_encoder::<AvroSoeFormat>(),
            None => builder.build_encoder::<AvroBinaryFormat>(),
        };
        let invalid =
            |error: arrow_avro::errors::AvroError| SchemaError::Invalid { format: "Avro", reason: error.to_string() };
        Ok(Self { encoder: encoder.map_err(invalid)?, native, places })
    }

    /// Says whether columns and fields of a schema fit together. Gives which column each field takes.
    ///
    /// # Errors
    /// The first field without a column, column without a field, or pair whose types do not fit.
    pub fn check(schema: &str, rows: &Schema) -> Result<Vec<usize>, SchemaError> {
        columns(schema)?;
        let native = native(schema)?;
        if let Some(extra) = rows.fields().iter().find(|field| native.field_with_name(field.name()).is_err()) {
            let reason = "is no field of the schema; leave it out, or add it to the schema";
            return Err(SchemaError::column(extra.name(), reason));
        }
        let place = |field: &Arc<arrow_schema::Field>| {
            let missing = || SchemaError::field(field.name(), "has no column; add one in a stage before the sink");
            let place = rows.index_of(field.name()).map_err(|_| missing())?;
            let column = rows.field(place);
            match fits(column.data_type(), field) {
                true => Ok(place),
                false => {
                    let wanted = super::columns::columns(schema)?;
                    let wanted = wanted.field_with_name(field.name()).map(|field| field.data_type().to_string());
                    let reason = format!(
                        "has type {}, where the schema has what is read as {}; turn it into that type in a stage before the sink",
                        column.data_type(),
                        wanted.unwrap_or_default()
                    );
                    Err(SchemaError::column(column.name(), reason))
                }
            }
        };
        native.fields().iter().map(place).collect()
    }

    /// Gives the record of each row, in order.
    ///
    /// # Errors
    /// The first value that the schema has no room for.
    pub fn encode(&mut self, batch: &RecordBatch, take: &mut dyn FnMut(&[u8])) -> Result<(), ValueError> {
        let schema = batch.schema();
        let column = |(field, &place): (&Arc<arrow_schema::Field>, &usize)| -> Result<ArrayRef, ValueError> {
            to_native(batch.column(place), field).map_err(|unfit| ValueError {
                row: unfit.row,
                column: schema.field(place).name().clone(),
                reason: unfit.reason,
            })
        };
        let columns = self.native.fields().iter().zip(&self.places).map(column).collect::<Result<Vec<_>, _>>()?;
        let failed = |reason: String| ValueError { row: 0, column: String::new(), reason };
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let native = RecordBatch::try_new_with_options(self.native.clone(), columns, &options);
        let native = native.map_err(|error| failed(error.to_string()))?;
        self.encoder.encode(&native).map_err(|error| failed(error.to_string()))?;
        let rows = self.encoder.flush();
        let bytes = rows.bytes();
        rows.offsets().windows(2).for_each(|ends| take(&bytes[ends[0]..ends[1]]));
        Ok(())
    }
}
