//! What a guest holds by handle: rows of an input, or a batch made for an output.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_buffer::{BooleanBuffer, Buffer};
use flowc_runner::Batch;

use crate::fault::Stop;
use crate::picks::{Picks, size};

/// Batches have fewer rows than this: rows are numbered by `u32`, and offsets by `i32`.
pub(crate) const MAX_ROWS: u64 = i32::MAX as u64;

/// What a handle stands for.
#[derive(Debug)]
pub(crate) enum Held {
    /// Rows of an input.
    Input(Rows),
    /// A batch for an output.
    Output(Finished),
}

/// Rows of an input, perhaps picked.
#[derive(Debug)]
pub(crate) struct Rows {
    /// Of which input.
    pub(crate) port: usize,
    /// Where these rows lie among all rows of the input in this invocation, if they are a whole run in order.
    pub(crate) span: Option<Range<u64>>,
    batch: Batch,
    picks: Option<Picks>,
    /// Columns to which the picks were applied.
    done: Vec<Option<ArrayRef>>,
    /// Bytes that the guest keeps alive with this handle.
    memory: usize,
}

/// A batch for an output.
#[derive(Debug)]
pub(crate) struct Finished {
    /// For which output.
    pub(crate) port: usize,
    /// As in [`Rows`].
    pub(crate) span: Option<Range<u64>>,
    /// With the columns that are needed.
    pub(crate) batch: Batch,
    /// Bytes that it keeps alive.
    pub(crate) memory: usize,
}

impl Held {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Held::Input(rows) => rows.rows(),
            Held::Output(finished) => finished.batch.rows(),
        }
    }

    /// Bytes that the handle keeps alive.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Held::Input(rows) => rows.memory,
            Held::Output(finished) => finished.memory,
        }
    }

    /// The input's rows behind the handle.
    pub(crate) fn input(&mut self) -> Result<&mut Rows, Stop> {
        match self {
            Held::Input(rows) => Ok(rows),
            Held::Output(finished) => {
                Err(Stop::contract(format!("a batch made for output port {} can only be emitted there", finished.port)))
            }
        }
    }
}

impl Rows {
    /// A pushed batch, whose first row is the input's row number `start`.
    pub(crate) fn pushed(port: usize, batch: Batch, start: u64) -> Self {
        let span = Some(start..start + batch.rows() as u64);
        Self { port, span, batch, picks: None, done: Vec::new(), memory: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.picks.as_ref().map_or(self.batch.rows(), Picks::rows)
    }

    /// The batch itself, if no rows were picked.
    pub(crate) fn untouched(&self) -> Option<&Batch> {
        if self.picks.is_none() { Some(&self.batch) } else { None }
    }

    /// The guest keeps the rows beyond the call that brought them: from now on their columns count as its memory.
    pub(crate) fn keep(&mut self) {
        self.memory += self.batch.columns().iter().flatten().map(size).sum::<usize>();
    }

    /// A column of these rows, if the batch has it.
    pub(crate) fn column(&mut self, index: usize, room: u64) -> Result<Option<ArrayRef>, Stop> {
        let Some(column) = self.batch.column(index) else { return Ok(None) };
        let Some(picks) = &self.picks else { return Ok(Some(column.clone())) };
        self.done.resize(self.batch.columns().len(), None);
        if let Some(done) = &self.done[index] {
            return Ok(Some(done.clone()));
        }
        let picked = picks.apply(column, room)?;
        self.memory += picked.get_array_memory_size();
        self.done[index] = Some(picked.clone());
        Ok(Some(picked))
    }

    /// The rows whose bit is set.
    pub(crate) fn filter(&self, mask: Buffer) -> Result<Self, Stop> {
        let rows = self.rows();
        if mask.len() != rows.div_ceil(8) {
            let (found, due) = (mask.len(), rows.div_ceil(8));
            return Err(Stop::contract(format!("a mask has {found} bytes where {rows} rows take {due}")));
        }
        let mask = BooleanBuffer::new(mask, 0, rows);
        if mask.count_set_bits() == rows {
            return self.slice(0, rows as u64);
        }
        let picks = match &self.picks {
            Some(picks) => picks.then_mask(mask)?,
            None => Picks::mask(mask, self.batch.columns().iter().flatten().count()),
        };
        Ok(self.picked(picks, None))
    }

    /// The rows with these numbers.
    pub(crate) fn take(&self, numbers: Vec<u32>) -> Result<Self, Stop> {
        let rows = self.rows();
        if let Some(bad) = numbers.iter().find(|&&number| number as usize >= rows) {
            return Err(Stop::contract(format!("row {bad} is taken from a batch of {rows} rows")));
        }
        check_rows(numbers.len() as u64)?;
        let numbers = UInt32Array::from(numbers);
        let picks = match &self.picks {
            Some(picks) => picks.then_take(&numbers)?,
            None => Picks::Take(numbers),
        };
        Ok(self.picked(picks, None))
    }

    /// A run of rows.
    pub(crate) fn slice(&self, offset: u64, length: u64) -> Result<Self, Stop> {
        let rows = self.rows();
        if offset.checked_add(length).is_none_or(|end| end > rows as u64) {
            return Err(Stop::contract(format!("{length} rows from row {offset} on, of a batch of {rows} rows")));
        }
        let span = self.span.as_ref().map(|span| span.start + offset..span.start + offset + length);
        let (offset, length) = (offset as usize, length as usize);
        Ok(match &self.picks {
            Some(picks) => self.picked(picks.then_slice(offset, length)?, span),
            None => Self {
                port: self.port,
                span,
                batch: if length == rows { self.batch.clone() } else { self.batch.slice(offset, length) },
                picks: None,
                done: Vec::new(),
                memory: 0,
            },
        })
    }

    fn picked(&self, picks: Picks, span: Option<Range<u64>>) -> Self {
        let memory = picks.memory();
        Self { port: self.port, span, batch: self.batch.clone(), picks: Some(picks), done: Vec::new(), memory }
    }
}

/// Refuses batches that are too long to number their rows.
pub(crate) fn check_rows(rows: u64) -> Result<(), Stop> {
    if rows <= MAX_ROWS {
        Ok(())
    } else {
        Err(Stop::contract(format!("a batch of {rows} rows: {MAX_ROWS} is the most")))
    }
}
