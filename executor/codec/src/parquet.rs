//! A Parquet file for a batch: values plain and not compressed, so that nothing in it grows when it is read.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader};
use parquet::arrow::{ArrowWriter, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::{Compression, Encoding};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::promise::{RowGroup, Takes, check_footer};
use crate::{MOST, ROWS, joined};

/// The end of a file: the length of its footer, and four letters.
const TAIL: usize = 8;

pub(crate) fn write(batch: &RecordBatch) -> Result<Vec<u8>, ParquetError> {
    // Whoever reads it reads all of it, at once.
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(batch)?;
    writer.into_inner()
}

pub(crate) fn read(bytes: Buffer, due: &SchemaRef) -> Result<RecordBatch, String> {
    let words = |error: ParquetError| error.to_string();
    check_footer(footer(&bytes).ok_or("it has no footer")?)?;
    let file = Bytes::from_owner(Shared(bytes));
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(words)?;
    expect(metadata.schema(), due)?;
    let (mut batches, mut size) = (Vec::new(), 0);
    for group in 0..metadata.metadata().num_row_groups() {
        for batch in row_group(&file, &metadata, group).map_err(words)? {
            let batch = batch.and_then(|batch| RecordBatch::try_new(due.clone(), batch.columns().to_vec()));
            let batch = batch.map_err(|error| error.to_string())?;
            size += batch.get_array_memory_size();
            if size > MOST {
                return Err(format!("its rows take more than {} MiB", MOST >> 20));
            }
            batches.push(batch);
        }
    }
    joined(due, batches).map_err(|error| error.to_string())
}

/// Bytes that are read where they lie.
struct Shared(Buffer);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The bytes of the footer.
fn footer(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, tail) = bytes.split_at_checked(bytes.len().checked_sub(TAIL)?)?;
    let length = u32::from_le_bytes(*tail.first_chunk()?) as usize;
    rest.get(rest.len().checked_sub(length)?..)
}

/// Whether a file has the columns that are due: their names and types, in their order.
fn expect(found: &Schema, due: &Schema) -> Result<(), String> {
    let columns = |schema: &Schema| -> Vec<(String, DataType)> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    let list = |columns: &[(String, DataType)]| {
        columns.iter().map(|(name, data_type)| format!("`{name}` {data_type}")).collect::<Vec<_>>().join(", ")
    };
    let (found, due) = (columns(found), columns(due));
    match found == due {
        true => Ok(()),
        false => Err(format!("its columns are {}, and due are {}", list(&found), list(&due))),
    }
}

fn row_group(
    file: &Bytes,
    metadata: &ArrowReaderMetadata,
    group: usize,
) -> Result<ParquetRecordBatchReader, ParquetError> {
    let chunks = metadata.metadata().row_group(group).columns();
    if chunks.iter().any(|chunk| chunk.compression() != Compression::UNCOMPRESSED) {
        return Err(ParquetError::General("it is compressed, which it must not be".to_owned()));
    }
    let fields = Some(metadata.schema().fields());
    let levels = parquet_to_arrow_field_levels(metadata.parquet_schema(), ProjectionMask::all(), fields)?;
    let (file, metadata) = (file.clone(), Arc::clone(metadata.metadata()));
    let group = RowGroup { file, metadata, group, takes: Takes::Plain };
    ParquetRecordBatchReader::try_new_with_row_groups(&levels, &group, ROWS, None)
}
