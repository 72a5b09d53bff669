//! What a guest holds by handle: rows of an input, or a batch made for an output.

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_buffer::{BooleanBuffer, Buffer};
use flowc_planner::quantity::count;
use flowc_runner::Batch;

use crate::fault::Stop;
use crate::leases::Lease;
use crate::picks::Picks;

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
    /// Of which pushed batch.
    pub(crate) lease: Lease,
    /// The number of the first one among all rows of the input in this invocation, if they are a whole run in order.
    pub(crate) first: Option<u64>,
    batch: Batch,
    /// Which rows of the batch, if not all. Boxed, since handles are moved about and most are of whole batches.
    picked: Option<Box<Picked>>,
}

/// Some rows of a batch.
#[derive(Debug)]
struct Picked {
    picks: Picks,
    /// Columns to which the picks were applied.
    done: Vec<Option<ArrayRef>>,
    /// Bytes of all this.
    memory: usize,
}

/// A batch for an output.
#[derive(Debug)]
pub(crate) struct Finished {
    /// For which output.
    pub(crate) port: usize,
    /// The pushed batch whose rows these are.
    pub(crate) lease: Option<Lease>,
    /// As in [`Rows`].
    pub(crate) first: Option<u64>,
    /// With the columns that are needed.
    pub(crate) batch: Batch,
    /// Bytes that it keeps alive beside those of the pushed batch.
    pub(crate) memory: usize,
}

impl Held {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Held::Input(rows) => rows.rows(),
            Held::Output(finished) => finished.batch.rows(),
        }
    }

    /// Bytes that the handle keeps alive beside those of the pushed batch.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Held::Input(rows) => rows.picked.as_ref().map_or(0, |picked| picked.memory),
            Held::Output(finished) => finished.memory,
        }
    }

    /// The pushed batch that the handle keeps alive.
    pub(crate) fn lease(&self) -> Option<Lease> {
        match self {
            Held::Input(rows) => Some(rows.lease),
            Held::Output(finished) => finished.lease,
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
    /// A pushed batch, whose first row is the input's row number `first`.
    pub(crate) fn pushed(port: usize, lease: Lease, batch: Batch, first: u64) -> Self {
        Self { port, lease, first: Some(first), batch, picked: None }
    }

    pub(crate) fn rows(&self) -> usize {
        self.picked.as_ref().map_or(self.batch.rows(), |picked| picked.picks.rows())
    }

    /// The batch itself, if no rows were picked.
    pub(crate) fn untouched(&self) -> Option<&Batch> {
        if self.picked.is_none() { Some(&self.batch) } else { None }
    }

    /// A column of these rows, if the batch has it.
    pub(crate) fn column(&mut self, index: usize, room: u64) -> Result<Option<ArrayRef>, Stop> {
        let Some(column) = self.batch.column(index) else { return Ok(None) };
        let Some(picked) = &mut self.picked else { return Ok(Some(column.clone())) };
        picked.done.resize(self.batch.columns().len(), None);
        if let Some(done) = &picked.done[index] {
            return Ok(Some(done.clone()));
        }
        let done = picked.picks.apply(column, room)?;
        picked.memory += done.get_array_memory_size();
        picked.done[index] = Some(done.clone());
        Ok(Some(done))
    }

    /// The rows whose bit is set.
    pub(crate) fn filter(&self, mask: Buffer) -> Result<Self, Stop> {
        let rows = self.rows();
        if mask.len() != rows.div_ceil(8) {
            let (found, due) = (mask.len(), rows.div_ceil(8));
            return Err(Stop::contract(format!(
                "a mask has {} where {} take {due}",
                count(found as u64, "byte"),
                of(rows)
            )));
        }
        let mask = BooleanBuffer::new(mask, 0, rows);
        if mask.count_set_bits() == rows {
            return self.slice(0, rows as u64);
        }
        let picks = match self.picks() {
            Some(picks) => picks.then_mask(mask)?,
            None => Picks::mask(mask, self.batch.columns().iter().flatten().count()),
        };
        Ok(self.picked(picks, None))
    }

    /// The rows with these numbers.
    pub(crate) fn take(&self, numbers: Vec<u32>) -> Result<Self, Stop> {
        let rows = self.rows();
        if let Some(bad) = numbers.iter().find(|&&number| number as usize >= rows) {
            return Err(Stop::contract(format!("row {bad} is taken from a batch of {}", of(rows))));
        }
        check_rows(numbers.len() as u64)?;
        let numbers = UInt32Array::from(numbers);
        let picks = match self.picks() {
            Some(picks) => picks.then_take(&numbers)?,
            None => Picks::Take(numbers),
        };
        Ok(self.picked(picks, None))
    }

    /// A run of rows.
    pub(crate) fn slice(&self, offset: u64, length: u64) -> Result<Self, Stop> {
        let rows = self.rows();
        if offset.checked_add(length).is_none_or(|end| end > rows as u64) {
            return Err(Stop::contract(format!(
                "{} from row {offset} on, of a batch of {}",
                count(length, "row"),
                of(rows)
            )));
        }
        let first = self.first.map(|first| first + offset);
        let (offset, length) = (offset as usize, length as usize);
        Ok(match self.picks() {
            Some(picks) => self.picked(picks.then_slice(offset, length)?, first),
            None => {
                let batch = if length == rows { self.batch.clone() } else { self.batch.slice(offset, length) };
                Self { port: self.port, lease: self.lease, first, batch, picked: None }
            }
        })
    }

    fn picks(&self) -> Option<&Picks> {
        self.picked.as_ref().map(|picked| &picked.picks)
    }

    fn picked(&self, picks: Picks, first: Option<u64>) -> Self {
        let picked = Some(Box::new(Picked { memory: picks.memory(), picks, done: Vec::new() }));
        Self { port: self.port, lease: self.lease, first, batch: self.batch.clone(), picked }
    }
}

fn of(rows: usize) -> String {
    count(rows as u64, "row")
}

/// Refuses batches that are too long to number their rows.
pub(crate) fn check_rows(rows: u64) -> Result<(), Stop> {
    if rows <= MAX_ROWS {
        Ok(())
    } else {
        Err(Stop::contract(format!("a batch of {rows} rows: {MAX_ROWS} is the most")))
    }
}
