//! Kernels that run one after the other, the blocks of rows that go through them, and what comes of these.

use std::cell::RefCell;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use arrow_schema::{ArrowError, DataType, SchemaRef};
use flowc_kernel::{BinsOf, Bound, Build, Contents, Diagnostic, MOST_ROWS, Part, Pass};
use flowc_planner::plan::Class;
use flowc_runner::{DeviceUse, Origin};

use crate::device::DeviceFault;
use crate::table::{Table, Wanted};
use crate::written;

/// Kernels, each over what the one before gives.
pub(crate) struct Steps {
    pub(crate) all: Vec<Step>,
    /// The columns of the input that blocks hold.
    pub(crate) reads: Vec<usize>,
    /// The table of the first one, once it is there.
    pub(crate) table: Option<Arc<Table>>,
    /// The passes that go with them, in the order of their programs.
    pub(crate) passes: Vec<Pass>,
    /// What each of them has had the device do.
    pub(crate) used: RefCell<Vec<DeviceUse>>,
}

/// A kernel among others.
pub(crate) struct Step {
    pub(crate) stage: Arc<str>,
    pub(crate) bound: Bound,
    /// The columns that it reads, in the order of [`Bound::reads`]: their names, and where they come from.
    pub(crate) names: Vec<String>,
    pub(crate) reads: Vec<Origin>,
    /// The names of the columns of the table that it reads.
    pub(crate) of_table: Vec<String>,
    /// Rows without a null that the table has at least.
    pub(crate) least: usize,
    /// The columns that something after it needs.
    pub(crate) live: Vec<Origin>,
    pub(crate) build: Build,
    /// What tells the build from others.
    pub(crate) key: [u8; 32],
    pub(crate) config: Vec<u8>,
}

/// Rows for kernels.
#[derive(Clone)]
pub(crate) struct Block {
    /// The columns of the input that are read, in the order of [`Steps::reads`].
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) rows: usize,
    /// Of each step, the number of its first row, for messages.
    pub(crate) firsts: Vec<u64>,
    /// Whether kernels run in the opposite order, where it is not proven that none shows.
    pub(crate) is_reversed: bool,
}

/// What comes of a block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    /// The columns that were written and that the output has, with the rows that are kept; of a kernel that counts those of a partial.
    pub(crate) columns: Vec<ArrayRef>,
    /// Which rows of the block are kept, where a kernel picks some.
    pub(crate) mask: Option<BooleanBuffer>,
    /// Rows that each step gave.
    pub(crate) given: Vec<u64>,
}

/// Nothing was made of a block, because of a step.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) step: usize,
    pub(crate) fault: BlockFault,
}

/// Why nothing was made of a block.
#[derive(Debug)]
pub(crate) enum BlockFault {
    /// The kernel or its data.
    At(u64, Diagnostic),
    /// The same, in words.
    Stage(String),
    /// The device.
    Device(DeviceFault),
}

impl BlockFault {
    pub(crate) fn in_step(self, step: usize) -> Failed {
        Failed { step, fault: self }
    }
}

impl Steps {
    /// Whether rows can be cut anywhere: they depend on themselves alone, or are counted. Those of several kernels can.
    pub(crate) fn can_be_cut(&self) -> bool {
        self.all.iter().all(|step| matches!(step.bound.class, Class::RowWise | Class::Combining))
    }

    /// The most rows of a block. For sums of 64 bits a device has words of 32, and each piece of a table adds to them: a row counts once for each.
    /// None where not even one row is few enough.
    pub(crate) fn most_rows(&self) -> Option<usize> {
        let is_wide = |step: &Step| {
            let bins = step.bound.bins.as_ref().filter(|_| step.bound.table.is_some());
            bins.is_some_and(|bins| bins.counters.iter().any(|counter| counter.is_wide))
        };
        let pieces = match (&self.table, self.all.iter().any(is_wide)) {
            (Some(table), true) => table.piece_count(),
            _ => 1,
        };
        Some((MOST_ROWS / pieces) as usize).filter(|rows| *rows > 0)
    }

    /// The columns of a partial, if the last kernel counts.
    pub(crate) fn counting(&self) -> Option<SchemaRef> {
        let bound = &self.all.last()?.bound;
        Some(bound.bins.as_ref()?.partial(&bound.written))
    }

    /// Notes what a kernel had the device do.
    pub(crate) fn note(&self, step: usize, used: DeviceUse) {
        if let Some(so_far) = self.used.borrow_mut().get_mut(step) {
            *so_far += used;
        }
    }

    /// The type of a column.
    pub(crate) fn data_type(&self, origin: Origin, block: &Block) -> DataType {
        match origin {
            Origin::Input(column) => self.input(block, column).data_type().clone(),
            Origin::Written { step, column } => self.all[step].bound.written[column].field.data_type().clone(),
        }
    }

    /// A column of a block, by its number in the input.
    pub(crate) fn input<'a>(&self, block: &'a Block, column: usize) -> &'a ArrayRef {
        let place = self.reads.binary_search(&column).expect("a block has what is read");
        &block.columns[place]
    }
}

impl Step {
    /// Where a column comes from that it reads, by its number in its input.
    pub(crate) fn origin(&self, column: usize) -> Origin {
        self.reads[self.place(column)]
    }

    /// The name of a column that it reads.
    pub(crate) fn name(&self, column: usize) -> &str {
        &self.names[self.place(column)]
    }

    fn place(&self, column: usize) -> usize {
        self.bound.reads.binary_search(&column).expect("a kernel reads what it is bound to")
    }

    /// What the table of this kernel is to have, if it has one.
    pub(crate) fn wanted_table(&self) -> Option<Wanted<'_>> {
        let of = self.bound.table.as_ref()?;
        Some(Wanted { of, names: &self.of_table, least: self.least, buffers: &self.build.buffers })
    }

    pub(crate) fn described(&self, contents: Contents) -> String {
        match contents {
            Contents::Input { column, .. } => format!("column `{}`", self.name(column)),
            Contents::Output { output, .. } => format!("column `{}`", self.bound.written[output].field.name()),
            _ => "the mask".to_owned(),
        }
    }

    /// Bytes that a row has in a buffer that is written.
    pub(crate) fn row_bytes(&self, contents: Contents) -> u64 {
        match contents {
            Contents::Output { output, part: Part::Values } => {
                written::row_bytes(self.bound.written[output].field.data_type())
            }
            _ => 4,
        }
    }

    /// Bytes of a buffer that is written, for a block of so many rows.
    pub(crate) fn output_bytes(&self, contents: Contents, rows: u64) -> u64 {
        match self.bound.bins.as_ref().map(|bins| &bins.of) {
            Some(BinsOf::Number(number)) => 4 * u64::from(*number),
            // No more groups than rows.
            Some(BinsOf::Groups { .. }) => 4 * rows,
            None => rows * self.row_bytes(contents),
        }
    }

    /// Bytes of what numbers the groups of a block of so many rows: a table of slots, their numbers, and those of rows.
    pub(crate) fn grouping_bytes(&self, rows: u64) -> u64 {
        let by_groups = self.bound.bins.as_ref().is_some_and(|bins| matches!(bins.of, BinsOf::Groups { .. }));
        if by_groups { 4 * (2 * (2 * rows).next_power_of_two() + rows) } else { 0 }
    }

    /// The buffers that are written, but for faults.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = Contents> + '_ {
        let is_output = |contents: &Contents| matches!(contents, Contents::Output { .. } | Contents::Mask);
        self.build.buffers.iter().copied().filter(is_output)
    }
}

impl Made {
    /// With what comes of the rows after these.
    pub(crate) fn followed_by(&self, rest: &Self) -> Result<Self, ArrowError> {
        let columns = self.columns.iter().zip(&rest.columns);
        let columns = columns.map(|(one, other)| arrow_select::concat::concat(&[one, other]));
        let masks = self.mask.as_ref().zip(rest.mask.as_ref()).map(|(one, other)| {
            let mut mask = BooleanBufferBuilder::new(one.len() + other.len());
            mask.append_buffer(one);
            mask.append_buffer(other);
            mask.finish()
        });
        let given = self.given.iter().zip(&rest.given).map(|(one, other)| one + other);
        Ok(Self { columns: columns.collect::<Result<_, _>>()?, mask: masks, given: given.collect() })
    }
}

impl Block {
    pub(crate) fn halves(&self) -> (Self, Self) {
        let half = self.rows / 2;
        let part = |start: usize, rows: usize| Self {
            columns: self.columns.iter().map(|column| column.slice(start, rows)).collect(),
            rows,
            firsts: self.firsts.clone(),
            is_reversed: self.is_reversed,
        };
        (part(0, half), part(half, self.rows - half))
    }

    /// Counts the rows before it.
    pub(crate) fn advance(&mut self, before: &Self, made: &Made) {
        let given = std::iter::once(before.rows as u64).chain(made.given.iter().copied());
        self.firsts.iter_mut().zip(given).for_each(|(first, given)| *first += given);
    }
}
