//! Least and greatest values, and values of the first and last rows by another column.
//!
//! What orders rows and the value are compared together, as one number or one string of bytes: so it does not matter
//! in which order rows come, even where two are equal in the column that orders them.

use flowc_sdk::arrow::array::make_array;
use flowc_sdk::arrow::buffer::NullBuffer;
use flowc_sdk::prelude::*;
use stage_parts::{Bytes, Format, Rows, plain_type};

use crate::config::Finish;
use crate::state::State;

/// The best row of each group.
pub(crate) struct Extreme {
    format: Format,
    greatest: bool,
    best: Slots,
}

enum Slots {
    Small(Numbers<u64>),
    Wide(Numbers<u128>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// Best rows that are numbers.
struct Numbers<W> {
    /// What no row is worse than.
    worst: W,
    best: Vec<W>,
    /// Whether a row was as bad as that, so that it is told from no row. Empty while none was.
    has_worst: Vec<bool>,
}

impl<W: Copy + Ord + Default> Numbers<W> {
    fn new(worst: W) -> Self {
        Self { worst, best: Vec::new(), has_worst: Vec::new() }
    }

    fn grow(&mut self, groups: usize) {
        self.best.resize(groups, self.worst);
        if !self.has_worst.is_empty() {
            self.has_worst.resize(groups, false);
        }
    }

    /// Takes in numbers, each of a row that is valid, with its group.
    fn offer(&mut self, rows: impl Iterator<Item = (u32, W)>, greatest: bool) {
        let each = |better: fn(W, W) -> W| {
            rows.for_each(|(group, number)| {
                let best = &mut self.best[group as usize];
                *best = better(*best, number);
                if number == self.worst {
                    self.note_worst(group);
                }
            });
        };
        if greatest { each(W::max) } else { each(W::min) }
    }

    #[cold]
    fn note_worst(&mut self, group: u32) {
        self.has_worst.resize(self.best.len(), false);
        self.has_worst[group as usize] = true;
    }

    /// The best number of a group, if there was a row.
    fn get(&self, group: u32) -> Option<W> {
        let (best, group) = (self.best[group as usize], group as usize);
        (best != self.worst || self.has_worst.get(group) == Some(&true)).then_some(best)
    }

    /// The best of these groups, and null where there was none.
    fn of(&self, groups: &[u32]) -> (Vec<W>, NullBuffer) {
        let best = || groups.iter().map(|&group| self.get(group));
        (best().map(Option::unwrap_or_default).collect(), best().map(|best| best.is_some()).collect())
    }
}

/// The format of rows of these columns, of which the first is not null.
pub(crate) fn format(fields: &[FieldRef]) -> Result<Format> {
    let part = |(at, field): (usize, &FieldRef)| Arc::new(field.as_ref().clone().with_nullable(at > 0));
    Format::new(&fields.iter().enumerate().map(part).collect::<Vec<_>>())
}

impl Extreme {
    pub(crate) fn new(fields: &[FieldRef], greatest: bool) -> Result<Self> {
        let format = format(fields)?;
        let best = match format.rows(&no_values(fields), 0)? {
            Rows::Small(_) => Slots::Small(Numbers::new(if greatest { u64::MIN } else { u64::MAX })),
            Rows::Wide(_) => Slots::Wide(Numbers::new(if greatest { u128::MIN } else { u128::MAX })),
            Rows::Bytes(_) => Slots::Bytes(Vec::new()),
        };
        Ok(Self { format, greatest, best })
    }

    fn offer(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        fn pairs<W: Copy>(rows: &[u32], words: &[W]) -> impl Iterator<Item = (u32, W)> {
            rows.iter().copied().zip(words.iter().copied())
        }
        let nulls = columns[0].logical_nulls().filter(|nulls| nulls.null_count() > 0);
        match (&mut self.best, self.format.rows(columns, rows.len())?) {
            (Slots::Small(best), Rows::Small(words)) => match nulls {
                None => best.offer(pairs(rows, &words), self.greatest),
                Some(nulls) => best.offer(nulls.valid_indices().map(|row| (rows[row], words[row])), self.greatest),
            },
            (Slots::Wide(best), Rows::Wide(words)) => match nulls {
                None => best.offer(pairs(rows, &words), self.greatest),
                Some(nulls) => best.offer(nulls.valid_indices().map(|row| (rows[row], words[row])), self.greatest),
            },
            (Slots::Bytes(best), Rows::Bytes(bytes)) => {
                let valid = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
                let places = (0..rows.len()).filter(valid);
                places.for_each(|row| keep(&mut best[rows[row] as usize], bytes.get(row), self.greatest));
            }
            _ => return Err(Problem::new("rows of another format")),
        }
        Ok(())
    }

    /// The columns of the best rows of these groups, null where there is none.
    fn columns(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let (rows, nulls) = match &self.best {
            Slots::Small(best) => {
                let (words, nulls) = best.of(groups);
                (Rows::Small(words), nulls)
            }
            Slots::Wide(best) => {
                let (words, nulls) = best.of(groups);
                (Rows::Wide(words), nulls)
            }
            Slots::Bytes(best) => {
                let best = groups.iter().map(|&group| best[group as usize].as_deref());
                let mut rows = Bytes::default();
                best.clone().for_each(|row| rows.push(row.unwrap_or_default()));
                (Rows::Bytes(rows), best.map(|row| row.is_some()).collect())
            }
        };
        self.format.columns(&rows)?.iter().map(|column| with_nulls(column, &nulls)).collect()
    }
}

/// Puts a row into a slot if it is better than the one there.
#[inline]
fn keep(slot: &mut Option<Vec<u8>>, row: &[u8], greatest: bool) {
    match slot {
        Some(best) if best.as_slice() == row || (best.as_slice() < row) != greatest => {}
        slot => *slot = Some(row.to_owned()),
    }
}

fn no_values(fields: &[FieldRef]) -> Vec<ArrayRef> {
    fields.iter().map(|field| flowc_sdk::arrow::array::new_empty_array(field.data_type())).collect()
}

/// A column with more nulls.
fn with_nulls(column: &ArrayRef, nulls: &NullBuffer) -> Result<ArrayRef> {
    if nulls.null_count() == 0 || *column.data_type() == DataType::Null {
        return Ok(column.clone());
    }
    let all = NullBuffer::union(column.nulls(), Some(nulls));
    Ok(make_array(column.to_data().into_builder().nulls(all).build()?))
}

impl State for Extreme {
    fn fields(&self) -> Vec<FieldRef> {
        let parts = self.format.fields().iter().enumerate();
        parts.map(|(at, part)| field(&at.to_string(), part.data_type().clone(), true)).collect()
    }

    fn result_type(&self, _: Finish) -> (DataType, bool) {
        let value = self.format.fields().last().map(|field| plain_type(field.data_type()).clone());
        (value.unwrap_or(DataType::Null), true)
    }

    fn grow(&mut self, groups: usize) {
        match &mut self.best {
            Slots::Small(best) => best.grow(groups),
            Slots::Wide(best) => best.grow(groups),
            Slots::Bytes(best) => best.resize(groups, None),
        }
    }

    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.offer(rows, columns)
    }

    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.offer(rows, columns)
    }

    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        self.columns(groups)
    }

    fn result(&self, _: Finish, groups: &[u32]) -> Result<ArrayRef> {
        self.columns(groups)?.pop().ok_or_else(|| Problem::new("a result without a column"))
    }
}
