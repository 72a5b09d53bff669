//! Rows picked from batches, of any type. Slower than Arrow's kernels, and much faster to compile.

use std::ops::Range;

use crate::arrow::array::{
    Array, ArrayData, ArrayRef, MutableArrayData, RecordBatch, RecordBatchOptions, make_array, new_empty_array,
};
use crate::arrow::datatypes::{FieldRef, SchemaRef};
use crate::problem::Result;

/// The rows of a batch where the mask is true.
pub(crate) fn filter(batch: &RecordBatch, mask: impl IntoIterator<Item = bool>) -> Result<RecordBatch> {
    let rows = mask.into_iter().enumerate().filter(|(_, stays)| *stays).map(|(row, _)| (0, row..row + 1));
    pick(&batch.schema(), &[batch], rows.collect())
}

/// The rows of a batch with these numbers.
pub(crate) fn take(batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    let rows = rows.iter().map(|&row| (0, row as usize..row as usize + 1));
    pick(&batch.schema(), &[batch], rows.collect())
}

/// All rows of batches with the columns of this schema.
pub(crate) fn concat(schema: &SchemaRef, batches: &[&RecordBatch]) -> Result<RecordBatch> {
    let rows = batches.iter().enumerate().map(|(number, batch)| (number, 0..batch.num_rows()));
    pick(schema, batches, rows.collect())
}

/// Runs of rows, each with the number of its batch.
fn pick(schema: &SchemaRef, batches: &[&RecordBatch], runs: Vec<(usize, Range<usize>)>) -> Result<RecordBatch> {
    let rows = runs.iter().map(|(_, run)| run.len()).sum();
    let column = |(number, field): (usize, &FieldRef)| -> Result<ArrayRef> {
        let pieces: Vec<ArrayData> = batches.iter().map(|batch| batch.column(number).to_data()).collect();
        if pieces.is_empty() {
            return Ok(new_empty_array(field.data_type()));
        }
        let mut picked = MutableArrayData::new(pieces.iter().collect(), false, rows);
        for (piece, run) in &runs {
            picked.try_extend(*piece, run.start, run.end)?;
        }
        Ok(make_array(picked.freeze()))
    };
    let columns = schema.fields().iter().enumerate().map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::arrow::array::{Int32Array, StringArray};

    fn batch(numbers: [i32; 3]) -> RecordBatch {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
        RecordBatch::try_from_iter([("n", Arc::new(Int32Array::from(numbers.to_vec())) as ArrayRef), ("t", texts)])
            .unwrap()
    }

    #[test]
    fn rows_are_picked_by_mask_by_number_and_from_several_batches() {
        let (a, b) = (batch([1, 2, 3]), batch([4, 5, 6]));
        let both = concat(&a.schema(), &[&a, &b]).unwrap();
        assert_eq!((both.slice(0, 3), both.slice(3, 3)), (a.clone(), b));
        assert_eq!(filter(&a, [false, true, true]).unwrap(), a.slice(1, 2));
        assert_eq!(take(&a, &[2, 0]).unwrap().column(1).as_ref(), &StringArray::from(vec!["c", "a"]));
        assert_eq!(concat(&a.schema(), &[]).unwrap().num_rows(), 0);
    }
}
