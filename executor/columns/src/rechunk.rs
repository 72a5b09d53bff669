//! Divides batches into chunks of a fixed number of rows.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;

use crate::canonical::check_keys;
use crate::offsets::too_full;
use crate::{BATCH_ROWS, ColumnsError};

/// Takes batches of any size and gives batches of exactly [`BATCH_ROWS`] rows, the last one shorter.
/// A batch that is such a chunk already passes without a copy; so does any slice of a batch that holds a whole chunk.
pub struct Rechunk {
    schema: SchemaRef,
    pieces: Vec<RecordBatch>,
    rows: usize,
}

impl Rechunk {
    /// For batches of this schema.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema, pieces: Vec::new(), rows: 0 }
    }

    /// Takes a batch, gives the chunks that are full now.
    ///
    /// # Errors
    /// If the rows of a chunk hold more than their types' offsets of 32 bits reach, or if the batch has another schema.
    pub fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>, ColumnsError> {
        let mut chunks = Vec::new();
        let mut start = 0;
        while start < batch.num_rows() {
            let rows = (BATCH_ROWS - self.rows).min(batch.num_rows() - start);
            self.pieces.push(batch.slice(start, rows));
            self.rows += rows;
            start += rows;
            if self.rows == BATCH_ROWS {
                chunks.push(self.join()?);
            }
        }
        Ok(chunks)
    }

    /// Gives the last chunk, if any rows are left.
    ///
    /// # Errors
    /// If the rows of the last chunk hold more than their types' offsets of 32 bits reach, or if batches had different schemas.
    pub fn finish(mut self) -> Result<Option<RecordBatch>, ColumnsError> {
        if self.rows == 0 { Ok(None) } else { self.join().map(Some) }
    }

    fn join(&mut self) -> Result<RecordBatch, ColumnsError> {
        self.rows = 0;
        let pieces = std::mem::take(&mut self.pieces);
        match <[RecordBatch; 1]>::try_from(pieces) {
            Ok([piece]) => Ok(piece),
            Err(pieces) => self.concat(&pieces),
        }
    }

    fn concat(&self, pieces: &[RecordBatch]) -> Result<RecordBatch, ColumnsError> {
        for (place, field) in self.schema.fields().iter().enumerate() {
            let parts: Vec<ArrayRef> = pieces.iter().map(|piece| piece.column(place).clone()).collect();
            if let Some(data_type) = too_full(&parts) {
                let (column, rows) = (field.name().clone(), pieces.iter().map(RecordBatch::num_rows).sum());
                return Err(ColumnsError::TooFull { column, rows, data_type });
            }
        }
        for column in (0..self.schema.fields().len()).filter(|&i| self.schema.field(i).data_type().is_nested()) {
            let parts: Vec<_> = pieces.iter().map(|piece| piece.column(column).to_data()).collect();
            check_keys(&parts.iter().collect::<Vec<_>>())?;
        }
        Ok(concat_batches(&self.schema, pieces)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, ListArray, NullArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::{DataType, Field};

    use super::*;

    fn numbers(range: std::ops::Range<i64>) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(range)) as ArrayRef)]).unwrap()
    }

    fn rechunked(batches: Vec<RecordBatch>) -> Vec<RecordBatch> {
        let mut rechunk = Rechunk::new(numbers(0..0).schema());
        let mut chunks = Vec::new();
        for batch in batches {
            chunks.extend(rechunk.push(batch).unwrap());
        }
        chunks.extend(rechunk.finish().unwrap());
        chunks
    }

    #[test]
    fn chunks_do_not_depend_on_how_the_rows_arrive() {
        let rows = BATCH_ROWS as i64 * 2 + 5;
        let whole = rechunked(vec![numbers(0..rows)]);
        let pieces = rechunked((0..rows).step_by(1000).map(|i| numbers(i..(i + 1000).min(rows))).collect());
        assert_eq!(whole, pieces);
        assert_eq!(whole.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [BATCH_ROWS, BATCH_ROWS, 5]);
    }

    #[test]
    fn a_full_batch_passes_without_a_copy() {
        let batch = numbers(0..BATCH_ROWS as i64);
        let before = batch.column(0).to_data().buffers()[0].as_ptr();
        assert_eq!(rechunked(vec![batch])[0].column(0).to_data().buffers()[0].as_ptr(), before);
    }

    #[test]
    fn no_rows_give_no_chunk() {
        assert!(rechunked(vec![numbers(0..0)]).is_empty());
    }

    #[test]
    fn what_one_chunk_can_not_hold_is_an_error_with_its_column() {
        let list = || {
            let (item, many) = (Arc::new(Field::new("item", DataType::Null, true)), 1_500_000_000);
            let list = ListArray::new(item, OffsetBuffer::from_lengths([many]), Arc::new(NullArray::new(many)), None);
            RecordBatch::try_from_iter([("l", Arc::new(list) as ArrayRef)]).unwrap()
        };
        let mut rechunk = Rechunk::new(list().schema());
        rechunk.push(list()).unwrap();
        rechunk.push(list()).unwrap();
        let said = rechunk.finish().unwrap_err().to_string();
        assert!(said.starts_with("2 rows of column `l` hold more than List(") && said.contains("LargeList"), "{said}");
    }
}
