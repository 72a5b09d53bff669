//! Batches between instances.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{ArrowError, SchemaRef};

/// Some rows of a stream. Columns that nobody needs are absent. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Batch {
    rows: usize,
    columns: Arc<[Option<ArrayRef>]>,
    stored: Option<(Arc<StoredFile>, usize)>,
}

/// An Arrow IPC file whose batches those of a stream are. It never changes.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Where it is.
    pub path: PathBuf,
    /// Per column of the stream: its place in the file, if it is there.
    pub columns: Vec<Option<usize>>,
    /// Number of columns of the file.
    pub width: usize,
}

/// Rows picked from a batch.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Rows where the mask is true; the mask has no nulls and the batch's length.
    Mask(BooleanArray),
    /// Rows by number, in any order, repeatedly too; no nulls, all in range.
    Take(UInt32Array),
}

impl Batch {
    /// A batch of `rows` rows. Every column present has that length.
    ///
    /// # Panics
    /// If a column has another length: runners check what stages give before they make a batch.
    pub fn new(rows: usize, columns: impl Into<Arc<[Option<ArrayRef>]>>) -> Self {
        let columns = columns.into();
        assert!(columns.iter().flatten().all(|column| column.len() == rows), "a column of another length");
        Self { rows, columns, stored: None }
    }

    /// Says that it is the batch of this number in a file.
    #[must_use]
    pub fn stored(self, file: Arc<StoredFile>, number: usize) -> Self {
        Self { stored: Some((file, number)), ..self }
    }

    /// The file that it is a batch of, if it is, and its number there.
    pub fn place(&self) -> Option<(&Arc<StoredFile>, usize)> {
        self.stored.as_ref().map(|(file, number)| (file, *number))
    }

    /// A batch with all columns of a record batch.
    pub fn from_record_batch(batch: &RecordBatch) -> Self {
        Self::new(batch.num_rows(), batch.columns().iter().cloned().map(Some).collect::<Vec<_>>())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns in the stream's order; `None` where nobody needs one.
    pub fn columns(&self) -> &[Option<ArrayRef>] {
        &self.columns
    }

    /// A column, if it is present.
    pub fn column(&self, index: usize) -> Option<&ArrayRef> {
        self.columns.get(index).and_then(Option::as_ref)
    }

    /// Some columns, in this order. Absent ones stay absent.
    #[must_use]
    pub fn pick(&self, columns: &[usize]) -> Self {
        let columns = columns.iter().map(|&column| self.column(column).cloned());
        Self { rows: self.rows, columns: columns.collect(), stored: None }
    }

    /// The batch with these of its columns alone.
    #[must_use]
    pub fn only(&self, columns: &[usize]) -> Self {
        let is_left = |(column, array): (usize, &Option<ArrayRef>)| array.clone().filter(|_| columns.contains(&column));
        Self { columns: self.columns.iter().enumerate().map(is_left).collect(), ..self.clone() }
    }

    /// The columns with these indices, as a record batch of these fields.
    ///
    /// # Errors
    /// If one of them is absent or does not fit its field.
    pub fn project(&self, schema: SchemaRef, indices: &[usize]) -> Result<RecordBatch, ArrowError> {
        let absent = |i: usize| ArrowError::InvalidArgumentError(format!("column {i} is not in the batch"));
        let columns = indices.iter().map(|&i| self.column(i).cloned().ok_or_else(|| absent(i)));
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(schema, columns.collect::<Result<_, _>>()?, &options)
    }

    /// Rows from `offset` on; no copy.
    pub fn slice(&self, offset: usize, rows: usize) -> Self {
        let columns = self.columns.iter().map(|c| c.as_ref().map(|c| c.slice(offset, rows)));
        Self { rows, columns: columns.collect(), stored: None }
    }

    /// The rows that a selection picks.
    ///
    /// # Errors
    /// If rows are picked by numbers that the batch does not have, or a column can't hold so many values.
    pub fn select(&self, selection: &Selection) -> Result<Self, ArrowError> {
        let rows = selection.rows();
        let pick = |column: &ArrayRef| match selection {
            Selection::Mask(mask) => arrow_select::filter::filter(column, mask),
            Selection::Take(indices) => arrow_select::take::take(column, indices, None),
        };
        let columns = self.columns.iter().map(|column| column.as_ref().map(pick).transpose());
        Ok(Self { rows, columns: columns.collect::<Result<_, _>>()?, stored: None })
    }

    /// Bytes of memory that the columns hold.
    pub fn memory(&self) -> usize {
        self.columns.iter().flatten().map(|column| column.get_array_memory_size()).sum()
    }
}

impl Selection {
    /// Number of rows that it picks.
    pub fn rows(&self) -> usize {
        match self {
            Selection::Mask(mask) => mask.true_count(),
            Selection::Take(indices) => indices.values().len(),
        }
    }
}
