//! Numbers of distinct values by a sketch: HyperLogLog with Ertl's estimator.
//!
//! "New cardinality estimation algorithms for HyperLogLog sketches", Otmar Ertl, 2017, algorithm 6.

use flowc_sdk::arrow::array::{BinaryBuilder, Int64Array};
use flowc_sdk::prelude::*;
use stage_parts::Format;

use crate::config::Finish;
use crate::state::State;

/// Bits of a hash that choose the register.
const BITS: u32 = 14;
const REGISTERS: usize = 1 << BITS;
/// Ranks go from 1 to this.
const MOST: usize = 64 - BITS as usize + 1;
/// Registers above zero up to which they are listed: as bytes they are fewer than all registers, then.
const LISTED: usize = REGISTERS / 4 - 1;

/// Registers: the greatest rank that each has seen.
#[derive(Clone, Debug)]
enum Sketch {
    /// Those above zero: the register's number, then six bits of rank. Up to `sorted` they are sorted, one a register.
    List {
        entries: Vec<u32>,
        sorted: usize,
    },
    All(Box<[u8]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch::List { entries: Vec::new(), sorted: 0 }
    }
}

impl Sketch {
    fn add_hash(&mut self, hash: u64) {
        let register = (hash >> (64 - BITS)) as u32;
        let rank = (hash << BITS).leading_zeros().min(64 - BITS) + 1;
        self.add(register, rank);
    }

    fn add(&mut self, register: u32, rank: u32) {
        match self {
            Sketch::All(ranks) => {
                let known = &mut ranks[register as usize];
                *known = (*known).max(rank as u8);
            }
            Sketch::List { entries, sorted } => {
                entries.push(register << 6 | rank);
                if entries.len() >= 2 * *sorted + 64 {
                    tidy(entries);
                    *sorted = entries.len();
                    if entries.len() > LISTED {
                        *self = Sketch::All(all(entries));
                    }
                }
            }
        }
    }

    /// As bytes, the same for the same registers.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Sketch::All(ranks) => ranks.to_vec(),
            Sketch::List { entries, .. } => {
                let mut entries = entries.clone();
                tidy(&mut entries);
                match entries.len() > LISTED {
                    true => all(&entries).to_vec(),
                    false => entries.iter().flat_map(|entry| entry.to_le_bytes()).collect(),
                }
            }
        }
    }

    /// Adds what [`Sketch::bytes`] gave.
    fn merge(&mut self, bytes: &[u8]) {
        if bytes.len() == REGISTERS {
            let ranks = bytes.iter().zip(0..).filter(|(rank, _)| **rank > 0);
            ranks.for_each(|(rank, register)| self.add(register, u32::from(*rank)));
        } else {
            let entry = |bytes: &[u8]| bytes.iter().rev().fold(0, |entry, &byte| entry << 8 | u32::from(byte));
            let entries = bytes.chunks_exact(4).map(entry);
            entries.for_each(|entry| self.add(entry >> 6 & (REGISTERS as u32 - 1), entry & 63));
        }
    }

    fn estimate(&self) -> f64 {
        let mut counts = [0_u32; MOST + 1];
        match self {
            Sketch::All(ranks) => ranks.iter().for_each(|&rank| counts[usize::from(rank).min(MOST)] += 1),
            Sketch::List { entries, .. } => {
                let mut entries = entries.clone();
                tidy(&mut entries);
                counts[0] = (REGISTERS - entries.len()) as u32;
                entries.iter().for_each(|entry| counts[(*entry as usize & 63).min(MOST)] += 1);
            }
        }
        let registers = REGISTERS as f64;
        let mut sum = registers * tau(1.0 - f64::from(counts[MOST]) / registers);
        for count in counts[1..MOST].iter().rev() {
            sum = 0.5 * (sum + f64::from(*count));
        }
        sum += registers * sigma(f64::from(counts[0]) / registers);
        0.5 / std::f64::consts::LN_2 * registers * registers / sum
    }
}

/// Sorts entries, and leaves the one of the highest rank for each register.
fn tidy(entries: &mut Vec<u32>) {
    entries.sort_unstable_by(|a, b| b.cmp(a));
    entries.dedup_by_key(|entry| *entry >> 6);
    entries.reverse();
}

fn all(entries: &[u32]) -> Box<[u8]> {
    let mut ranks = vec![0; REGISTERS];
    entries.iter().for_each(|entry| ranks[(entry >> 6) as usize] = (entry & 63) as u8);
    ranks.into_boxed_slice()
}

fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let next = sum + power * weight;
        weight += weight;
        if next == sum {
            return sum;
        }
        sum = next;
    }
}

fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        root = root.sqrt();
        weight *= 0.5;
        let next = sum - (1.0 - root) * (1.0 - root) * weight;
        if next == sum {
            return sum / 3.0;
        }
        sum = next;
    }
}

/// Sketches by group.
pub(crate) struct Sketches {
    format: Format,
    sketches: Vec<Sketch>,
}

impl Sketches {
    pub(crate) fn new(fields: &[FieldRef]) -> Result<Self> {
        Ok(Self { format: crate::extreme::format(fields)?, sketches: Vec::new() })
    }
}

impl State for Sketches {
    fn fields(&self) -> Vec<FieldRef> {
        vec![field("sketch", DataType::Binary, false)]
    }

    fn result_type(&self, _: Finish) -> (DataType, bool) {
        (DataType::Int64, false)
    }

    fn grow(&mut self, groups: usize) {
        self.sketches.resize(groups, Sketch::default());
    }

    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let hashes = self.format.rows(columns, rows.len())?.hashes();
        let sketches = &mut self.sketches;
        crate::numbers::valid_rows(&columns[0], |row| sketches[rows[row] as usize].add_hash(hashes[row]));
        Ok(())
    }

    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let bytes = columns[0].as_binary_opt::<i32>().ok_or_else(|| Problem::new("a partial without its sketches"))?;
        let parts = rows.iter().zip(bytes.iter());
        parts.for_each(|(&group, bytes)| self.sketches[group as usize].merge(bytes.unwrap_or_default()));
        Ok(())
    }

    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut column = BinaryBuilder::new();
        groups.iter().for_each(|&group| column.append_value(self.sketches[group as usize].bytes()));
        Ok(vec![Arc::new(column.finish())])
    }

    fn result(&self, _: Finish, groups: &[u32]) -> Result<ArrayRef> {
        let estimates = groups.iter().map(|&group| self.sketches[group as usize].estimate().round() as i64);
        Ok(Arc::new(estimates.collect::<Int64Array>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> u64 {
        let hash = (number ^ (number >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        hash ^ (hash >> 32)
    }

    #[test]
    fn estimates_are_near_and_do_not_depend_on_cuts() {
        for count in [0_u64, 1, 10, 1000, 5000, 30_000, 1_000_000] {
            let mut whole = Sketch::default();
            (0..count).for_each(|number| whole.add_hash(hash(number)));
            let mut parts = Sketch::default();
            for part in 0..3 {
                let mut one = Sketch::default();
                (0..count).rev().filter(|number| number % 3 >= part).for_each(|number| one.add_hash(hash(number)));
                parts.merge(&one.bytes());
            }
            assert_eq!(parts.bytes(), whole.bytes());
            assert_eq!(parts.estimate(), whole.estimate());
            let error = (whole.estimate() - count as f64).abs() / count.max(1) as f64;
            assert!(error < 0.025, "{count}: {}", whole.estimate());
        }
    }
}
