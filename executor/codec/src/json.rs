//! Lines of JSON: an object per row, a member per column; a null may be left out.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_cast::cast;
use arrow_json::ReaderBuilder;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use crate::numbers::JsonNumbers;
use crate::{MOST, ROWS, exact, joined};

/// Batches of these columns, as lines.
pub(crate) struct Lines {
    due: SchemaRef,
    /// The same with wide floats, if that makes a difference.
    wide: Option<SchemaRef>,
}

impl Lines {
    pub(crate) fn new(due: &SchemaRef) -> Self {
        let wide: Fields = due.fields().iter().map(widened).collect();
        let wide = (wide != *due.fields()).then(|| Arc::new(Schema::new(wide)));
        Self { due: due.clone(), wide }
    }

    pub(crate) fn write(&self, batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
        let wide = self.wide.as_ref().map(|wide| widen(batch, wide)).transpose()?;
        let mut writer =
            WriterBuilder::new().with_encoder_factory(Arc::new(JsonNumbers)).build::<_, LineDelimited>(Vec::new());
        writer.write(wide.as_ref().unwrap_or(batch))?;
        writer.finish()?;
        Ok(writer.into_inner())
    }

    pub(crate) fn read(&self, mut lines: &[u8]) -> Result<RecordBatch, String> {
        exact::check(lines, &self.due)?;
        let mut read = || -> Result<RecordBatch, ArrowError> {
            let builder = ReaderBuilder::new(self.due.clone()).with_strict_mode(true).with_batch_size(ROWS);
            let mut decoder = builder.build_decoder()?;
            let (mut batches, mut size) = (Vec::new(), 0);
            loop {
                let taken = decoder.decode(lines)?;
                lines = &lines[taken..];
                match decoder.flush()? {
                    // What is left out of a line takes room all the same.
                    Some(batch) => {
                        size += batch.get_array_memory_size();
                        if size > MOST {
                            let message = format!("its rows take more than {} MiB", MOST >> 20);
                            return Err(ArrowError::JsonError(message));
                        }
                        batches.push(batch);
                    }
                    None if lines.is_empty() => return joined(&self.due, batches),
                    None => return Err(ArrowError::JsonError("there is more than objects".to_owned())),
                }
            }
        };
        read().map_err(|error| error.to_string())
    }
}

/// Narrow floats are written with the digits of wide ones, so that readers which know no others do not round twice.
fn widened(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Float32 => DataType::Float64,
        DataType::List(item) => DataType::List(widened(item)),
        DataType::LargeList(item) => DataType::LargeList(widened(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(widened).collect()),
        _ => return field.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()))
}

fn widen(batch: &RecordBatch, wide: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().zip(wide.fields()).map(|(column, field)| cast(column, field.data_type()));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(wide.clone(), columns.collect::<Result<_, _>>()?, &options)
}
