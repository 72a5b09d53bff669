//! Divides batches into chunks of a fixed number of rows.

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat;

use crate::offsets::too_full;
use crate::unify::unified;
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
    /// If the rows of a chunk hold more than their types' offsets of 32 bits reach, or more different values than the keys of their
    /// dictionary can number, or if the batch has another schema.
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
    /// As [`Rechunk::push`].
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
        let parts = |column: usize| pieces.iter().map(|piece| piece.column(column).clone()).collect::<Vec<ArrayRef>>();
        let joined = (0..self.schema.fields().len()).map(|column| {
            let parts = unified(parts(column))?;
            Ok(concat(&parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?)
        });
        let joined = joined.collect::<Result<Vec<ArrayRef>, ColumnsError>>()?;
        let rows = pieces.iter().map(RecordBatch::num_rows).sum();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), joined, &options)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int8Type;
    use arrow_array::{DictionaryArray, Int8Array, Int64Array, ListArray, NullArray};
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

    /// Rows of a column of dictionaries with keys of 8 bits, and of one of lists of such: `per` different values in each of some
    /// batches, of which the next one has as many others as `step`.
    fn coded(batches: i64, per: i64, step: i64) -> Vec<RecordBatch> {
        let batch = |batch: i64| {
            let values = Arc::new(Int64Array::from_iter_values((0..per).map(|value| value + batch * step)));
            let keys = Int8Array::from_iter_values((0..per as i8).rev());
            let coded = Arc::new(DictionaryArray::new(keys, values as ArrayRef)) as ArrayRef;
            let item = Arc::new(Field::new("item", coded.data_type().clone(), true));
            let lists = ListArray::new(item, OffsetBuffer::from_lengths(vec![1; per as usize]), coded.clone(), None);
            RecordBatch::try_from_iter([("d", coded), ("l", Arc::new(lists) as ArrayRef)]).unwrap()
        };
        (0..batches).map(batch).collect()
    }

    #[test]
    fn dictionaries_hold_a_value_once_however_many_batches_have_it() {
        let batches = coded(4, 100, 9);
        let mut rechunk = Rechunk::new(batches[0].schema());
        batches.iter().for_each(|batch| drop(rechunk.push(batch.clone()).unwrap()));
        let whole = rechunk.finish().unwrap().unwrap();
        let (rows, lists) = (whole.column(0).as_dictionary::<Int8Type>(), whole.column(1).as_list::<i32>());
        let numbers = |array: &DictionaryArray<Int8Type>| {
            array.downcast_dict::<Int64Array>().unwrap().into_iter().flatten().collect::<Vec<_>>()
        };
        let due: Vec<i64> = (0..4).flat_map(|batch| (0..100).rev().map(move |value| value + batch * 9)).collect();
        assert_eq!(numbers(rows), due);
        assert_eq!(numbers(lists.values().as_dictionary()), due);
        assert_eq!(rows.values().len(), 127);
    }

    #[test]
    fn more_different_values_than_keys_are_an_error_of_the_data() {
        let batches = coded(4, 100, 10);
        let mut rechunk = Rechunk::new(batches[0].schema());
        batches.iter().for_each(|batch| drop(rechunk.push(batch.clone()).unwrap()));
        let error = rechunk.finish().unwrap_err();
        assert!(matches!(error, ColumnsError::DictionaryFull { values: 130, .. }) && error.is_of_data(), "{error}");
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
