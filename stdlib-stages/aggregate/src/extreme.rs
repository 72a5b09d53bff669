//! Least and greatest values, and values of the first and last rows by another column.
//!
//! What orders rows and the value are compared together, as one number or one string of bytes: so it does not matter
//! in which order rows come, even where two are equal in the column that orders them.

use std::borrow::Borrow;

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
    Small(Vec<Option<u64>>),
    Wide(Vec<Option<u128>>),
    Bytes(Vec<Option<Vec<u8>>>),
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
            Rows::Small(_) => Slots::Small(Vec::new()),
            Rows::Wide(_) => Slots::Wide(Vec::new()),
            Rows::Bytes(_) => Slots::Bytes(Vec::new()),
        };
        Ok(Self { format, greatest, best })
    }

    fn offer(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let nulls = columns[0].logical_nulls();
        let valid = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
        let places = (0..rows.len()).filter(valid);
        match (&mut self.best, self.format.rows(columns, rows.len())?) {
            (Slots::Small(best), Rows::Small(words)) => {
                places.for_each(|row| keep(&mut best[rows[row] as usize], &words[row], self.greatest));
            }
            (Slots::Wide(best), Rows::Wide(words)) => {
                places.for_each(|row| keep(&mut best[rows[row] as usize], &words[row], self.greatest));
            }
            (Slots::Bytes(best), Rows::Bytes(bytes)) => {
                places.for_each(|row| keep(&mut best[rows[row] as usize], bytes.get(row), self.greatest));
            }
            _ => return Err(Problem::new("rows of another format")),
        }
        Ok(())
    }

    /// The columns of the best rows of these groups, null where there is none.
    fn columns(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        fn of<K: Clone + Default>(best: &[Option<K>], groups: &[u32]) -> (Vec<K>, NullBuffer) {
            let best = groups.iter().map(|&group| best[group as usize].clone());
            let rows: Vec<Option<K>> = best.collect();
            let nulls = rows.iter().map(Option::is_some).collect();
            (rows.into_iter().map(Option::unwrap_or_default).collect(), nulls)
        }
        let (rows, nulls) = match &self.best {
            Slots::Small(best) => {
                let (words, nulls) = of(best, groups);
                (Rows::Small(words), nulls)
            }
            Slots::Wide(best) => {
                let (words, nulls) = of(best, groups);
                (Rows::Wide(words), nulls)
            }
            Slots::Bytes(best) => {
                let (all, nulls) = of(best, groups);
                let mut rows = Bytes::default();
                all.iter().for_each(|row| rows.push(row));
                (Rows::Bytes(rows), nulls)
            }
        };
        self.format.columns(&rows)?.iter().map(|column| with_nulls(column, &nulls)).collect()
    }
}

/// Puts a row into a slot if it is better than the one there.
#[inline]
fn keep<K: Borrow<Q>, Q: ?Sized + Ord + ToOwned<Owned = K>>(slot: &mut Option<K>, row: &Q, greatest: bool) {
    match slot {
        Some(best) if (*best).borrow() == row || ((*best).borrow() < row) != greatest => {}
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
            Slots::Small(best) => best.resize(groups, None),
            Slots::Wide(best) => best.resize(groups, None),
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
