//! Batches, which live in the host.

use std::sync::Arc;

use crate::arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array};
use crate::arrow::datatypes::{FieldRef, SchemaRef};

use crate::host::Handle;
use crate::problem::{Problem, Result};

/// Some rows of an input, or of an output. Columns stay in the host until they are read; picking rows costs the stage
/// nothing.
pub struct Batch {
    handle: Handle,
    reads: SchemaRef,
}

impl Batch {
    pub(crate) fn new(handle: Handle, reads: SchemaRef) -> Self {
        Self { handle, reads }
    }

    pub(crate) fn into_handle(self) -> Handle {
        self.handle
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.handle.rows()
    }

    /// The columns with these numbers, counted within the columns that the stage declared to read.
    ///
    /// # Errors
    /// If a number is not one of theirs, or a column does not fit its schema.
    pub fn read(&self, columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let field = |&i: &usize| self.reads.fields().get(i).cloned().ok_or_else(|| unread(i));
        let fields = columns.iter().map(field).collect::<Result<Vec<FieldRef>>>()?;
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let numbers: Vec<u32> = columns.iter().map(|&i| i as u32).collect();
        self.handle.read(&numbers, &fields)
    }

    /// One column.
    ///
    /// # Errors
    /// If there is no such column, or it does not fit its schema.
    pub fn column(&self, index: usize) -> Result<ArrayRef> {
        self.read(&[index])?.pop().ok_or_else(|| unread(index))
    }

    /// All columns that the stage declared to read.
    ///
    /// # Errors
    /// If a column does not fit its schema.
    pub fn read_all(&self) -> Result<Vec<ArrayRef>> {
        self.read(&(0..self.reads.fields().len()).collect::<Vec<_>>())
    }

    /// The rows where the mask is true; null counts as false.
    ///
    /// # Errors
    /// If the mask has another number of rows.
    pub fn filter(&self, mask: &BooleanArray) -> Result<Batch> {
        if mask.len() != self.rows() {
            return Err(Problem::new(format!("a mask of {} bits for {} rows", mask.len(), self.rows())));
        }
        let bits = match mask.nulls() {
            Some(nulls) => mask.values() & nulls.inner(),
            None => mask.values().clone(),
        };
        Ok(self.with(self.handle.filter(bits.sliced().as_slice())))
    }

    /// The rows with these numbers, in this order, repeatedly too.
    ///
    /// # Errors
    /// If a number is null. One beyond the rows ends the invocation.
    pub fn take(&self, indices: &UInt32Array) -> Result<Batch> {
        if indices.null_count() > 0 {
            return Err(Problem::new("row numbers to take must not be null"));
        }
        Ok(self.with(self.handle.take(indices.values())))
    }

    /// A run of rows.
    pub fn slice(&self, offset: usize, rows: usize) -> Batch {
        self.with(self.handle.slice(offset as u64, rows as u64))
    }

    /// A batch of an output port: what the port's description passes on, and these written columns in order.
    ///
    /// # Errors
    /// If a column nests too deep. What the port's description does not allow ends the invocation.
    pub fn derive(&self, port: usize, written: &[ArrayRef]) -> Result<Batch> {
        self.handle.derive(port as u32, written).map(|handle| self.with(handle))
    }

    fn with(&self, handle: Handle) -> Batch {
        Batch { handle, reads: Arc::clone(&self.reads) }
    }
}

fn unread(index: usize) -> Problem {
    Problem::new(format!("the stage did not declare to read a column number {index}"))
}
