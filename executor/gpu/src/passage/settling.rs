//! Bringing what a kernel wrote into the form in which the next one reads it.

use std::collections::HashMap;

use arrow_schema::DataType;
use flowc_kernel::{Contents, Items, Part, Pass};
use flowc_runner::Origin;

use super::{Passage, bitmap_bytes};
use crate::device::{Filling, Held};
use crate::steps::BlockFault;
use crate::written::{self, Values};

impl Passage<'_> {
    /// Brings what a kernel wrote into the form in which others read it: validity as a bitmap, zero under nulls, one NaN, packed booleans.
    pub(super) fn settle(&mut self, number: usize, outputs: &HashMap<Contents, Held>) -> Result<(), BlockFault> {
        let step = &self.steps.all[number];
        for (output, of) in step.bound.written.iter().enumerate() {
            let origin = Origin::Written { step: number, column: output };
            if !step.live.contains(&origin) {
                continue;
            }
            let part = |part: Part| outputs.get(&Contents::Output { output, part });
            let mut valid = match part(Part::Validity) {
                Some(words) => Some(self.packed(words, self.rows)?),
                None => None,
            };
            for column in &of.null_with {
                if let Some(others) = self.validity(step, *column)? {
                    valid = Some(self.both(valid, &others)?);
                }
            }
            let Some(values) = part(Part::Values) else { continue };
            let values = self.settled(values, of.field.data_type(), valid.as_ref())?;
            self.held.insert((origin, Part::Values), values);
            if let Some(valid) = valid {
                self.held.insert((origin, Part::Validity), valid);
            }
        }
        Ok(())
    }

    /// Words of so many values, as bits.
    pub(super) fn packed(&mut self, words: &Held, values: usize) -> Result<Held, BlockFault> {
        let bits = self.fill(&Filling::Zeros(bitmap_bytes(values)))?;
        let items = values.div_ceil(32) as u32;
        self.queue_pass(Pass::Pack, &[words, &bits], &[values as u32], items)?;
        Ok(bits)
    }

    /// The bits that are set in both.
    fn both(&mut self, bits: Option<Held>, others: &Held) -> Result<Held, BlockFault> {
        let bytes = bitmap_bytes(self.rows);
        let bits = match bits {
            Some(bits) => bits,
            None => self.fill(&Filling::Ones(bytes))?,
        };
        let words = (bytes / 4) as u32;
        self.queue_pass(Pass::And, &[others, &bits], &[words], words)?;
        Ok(bits)
    }

    fn settled(&mut self, written: &Held, data_type: &DataType, valid: Option<&Held>) -> Result<Held, BlockFault> {
        let values = Values::of(data_type);
        let words = (written::row_bytes(values.item) / 4).max(1) as u32;
        let (items, a_row) = match values.item {
            DataType::Float16 => (Items::Halves, values.count),
            DataType::Float32 => (Items::Floats, values.count),
            DataType::Float64 => (Items::Doubles, values.count),
            _ => (Items::Words, values.count * words),
        };
        if items != Items::Words || valid.is_some() {
            let count = self.rows as u32 * a_row;
            let invocations = if items == Items::Halves { count.div_ceil(2) } else { count };
            let numbers = [count, a_row, items as u32, u32::from(valid.is_some())];
            // Where there are no nulls nothing of the bitmap is read.
            let nothing = self.fill(&Filling::Zeros(4))?;
            self.queue_pass(Pass::Settle, &[valid.unwrap_or(&nothing), written], &numbers, invocations)?;
        }
        match values.item {
            DataType::Boolean => self.packed(written, self.rows * values.count as usize),
            _ => Ok(written.clone()),
        }
    }
}
