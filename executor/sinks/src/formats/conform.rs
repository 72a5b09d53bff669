//! Batches as a sink's schema has them.

use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;

use crate::error::SinkError;

/// The batch under the sink's own schema: another order of metadata must not reach the file.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef, shown: &Path) -> Result<RecordBatch, SinkError> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)
        .map_err(|error| SinkError::batch(shown, &error))
}
