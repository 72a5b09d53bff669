//! Kernels that count: the bins of a block, the groups of its rows, and what was counted over it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use flowc_kernel::{BinsOf, Contents, Part, Pass};

use super::{Passage, Wanted};
use crate::counted::keys;
use crate::device::{Filling, Held};
use crate::steps::{BlockFault, Made, Step};
use crate::written;

/// How many slots of the table a row may try. With fewer rows than half of the slots it finds one long before, unless somebody chose the keys.
const TRIES: u32 = 512;

/// The groups of the rows of a block.
pub(super) struct Groups {
    /// How many there are.
    count: u32,
    /// The number of the group of each row.
    pub(super) of_rows: Held,
    /// A row of each group.
    firsts: Firsts,
}

/// A row of each group.
enum Firsts {
    OnDevice(Held),
    Here(Vec<u32>),
}

impl Passage<'_> {
    /// Numbers the groups of the rows, if a kernel counts by groups.
    pub(super) fn grouped(&mut self, step: &Step) -> Result<Option<Groups>, BlockFault> {
        let Some(BinsOf::Groups { column, .. }) = step.bound.bins.as_ref().map(|bins| &bins.of) else {
            return Ok(None);
        };
        let array = self.host_of(step, *column)?;
        match self.grouped_on_device(step, *column, &array)? {
            Some(groups) => Ok(Some(groups)),
            None => Ok(Some(self.grouped_here(&array)?)),
        }
    }

    /// The column that makes groups: a kernel that counts by them is given rows by the processor.
    fn host_of(&self, step: &Step, column: usize) -> Result<ArrayRef, BlockFault> {
        match step.origin(column) {
            flowc_runner::Origin::Input(column) => Ok(self.host(column)?),
            flowc_runner::Origin::Written { .. } => Err(super::foreign()),
        }
    }

    /// Numbers the groups on the device. None where a row found no slot of the table.
    fn grouped_on_device(
        &mut self,
        step: &Step,
        column: usize,
        array: &ArrayRef,
    ) -> Result<Option<Groups>, BlockFault> {
        let rows = array.len() as u32;
        let slots = (2 * rows.max(1)).next_power_of_two();
        let bytes = |count: u32| 4 * u64::from(count.max(1));
        let values = self.input(step, column, Part::Values)?;
        let valid = match array.null_count() {
            0 => self.fill(&Filling::Zeros(4))?,
            _ => self.input(step, column, Part::Validity)?,
        };
        let [taken, ids] = [self.fill(&Filling::Zeros(bytes(slots)))?, self.fill(&Filling::Zeros(bytes(slots)))?];
        let [of_rows, counts] = [self.fill(&Filling::Zeros(bytes(rows)))?, self.fill(&Filling::Zeros(8))?];
        let bits = written::Values::of(array.data_type()).bits();
        let numbers = [rows, bits, u32::from(array.null_count() > 0), slots - 1, TRIES];
        self.queue_pass(Pass::Group, &[&values, &valid, &taken, &of_rows, &counts], &numbers, rows)?;
        self.queue_pass(Pass::Number, &[&taken, &ids, &counts], &[slots], slots)?;
        let read = self.run(std::slice::from_ref(&counts))?;
        let words: Vec<u32> = words(read.first().map_or(&[], Vec::as_slice)).collect();
        let [count, 0] = words[..] else { return Ok(None) };
        let firsts = self.fill(&Filling::Zeros(bytes(count)))?;
        self.queue_pass(Pass::Place, &[&taken, &ids, &firsts, &of_rows], &[slots, rows], slots)?;
        Ok(Some(Groups { count, of_rows, firsts: Firsts::OnDevice(firsts) }))
    }

    /// Numbers the groups on the processor.
    fn grouped_here(&self, array: &ArrayRef) -> Result<Groups, BlockFault> {
        let mut numbers = HashMap::new();
        let (mut of_rows, mut firsts) = (Vec::with_capacity(4 * array.len()), Vec::new());
        for (row, key) in (0..).zip(keys(array)) {
            let next = firsts.len() as u32;
            let number = *numbers.entry(key).or_insert(next);
            if number == next {
                firsts.push(row);
            }
            of_rows.extend_from_slice(&number.to_le_bytes());
        }
        let of_rows = self.fill(&Filling::Bytes(&of_rows))?;
        Ok(Groups { count: firsts.len() as u32, of_rows, firsts: Firsts::Here(firsts) })
    }

    /// What a variable is counted into: each element changes nothing at first.
    pub(super) fn bins(&self, step: &Step, output: usize) -> Result<Held, BlockFault> {
        let bins = step.bound.bins.as_ref().ok_or_else(super::foreign)?;
        let count = match bins.of {
            BinsOf::Number(count) => count,
            BinsOf::Groups { .. } => self.groups.as_ref().map_or(0, |groups| groups.count),
        };
        let bytes = 4 * u64::from(count.max(1));
        Ok(match bins.counters[output].identity() {
            0 => self.fill(&Filling::Zeros(bytes))?,
            u32::MAX => self.fill(&Filling::Ones(bytes))?,
            word => self.fill(&Filling::Bytes(&word.to_le_bytes().repeat(bytes as usize / 4)))?,
        })
    }

    /// What says which row is of which group, where that is on the device.
    pub(super) fn firsts(&self) -> Option<Held> {
        match &self.groups.as_ref()?.firsts {
            Firsts::OnDevice(held) => Some(held.clone()),
            Firsts::Here(_) => None,
        }
    }

    /// What was counted: the columns of a partial.
    pub(super) fn counted(mut self, read: &HashMap<Wanted, Vec<u8>>) -> Result<Made, BlockFault> {
        let step = &self.steps.all[self.steps.all.len() - 1];
        let bins = step.bound.bins.as_ref().ok_or_else(super::foreign)?;
        let key: ArrayRef = match &bins.of {
            BinsOf::Number(count) => Arc::new(UInt32Array::from_iter_values(0..*count)),
            BinsOf::Groups { column, .. } => {
                let firsts = match self.groups.take().map(|groups| (groups.count, groups.firsts)) {
                    Some((_, Firsts::Here(firsts))) => firsts,
                    Some((count, Firsts::OnDevice(_))) => {
                        words(read.get(&Wanted::Firsts).map_or(&[], Vec::as_slice)).take(count as usize).collect()
                    }
                    None => return Err(super::foreign()),
                };
                arrow_select::take::take(&self.host_of(step, *column)?, &UInt32Array::from(firsts), None)?
            }
        };
        let mut columns = vec![key];
        for (output, (written, counter)) in step.bound.written.iter().zip(&bins.counters).enumerate() {
            let raw = read.get(&Wanted::Raw(Contents::Output { output, part: Part::Values }));
            let raw = raw.map_or(&[][..], Vec::as_slice);
            let rows = columns[0].len();
            let bytes = match counter.is_wide {
                true => words(raw).take(rows).flat_map(|word| u64::from(word).to_le_bytes()).collect(),
                false => raw.to_vec(),
            };
            columns.push(written::column(written.field.data_type(), bytes, rows, None)?);
        }
        self.given.push(self.rows as u64);
        Ok(Made { columns, mask: self.kept, given: self.given })
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}
