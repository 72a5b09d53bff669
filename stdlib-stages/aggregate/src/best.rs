//! The greatest or the least values of each group, several of them.

use std::borrow::Borrow;

use flowc_sdk::arrow::array::new_empty_array;
use flowc_sdk::prelude::*;
use stage_parts::{Bytes, Format, Rows, list, list_items, plain_type};

use crate::config::Finish;
use crate::extreme::format;
use crate::state::State;

/// The best rows of each group, the best one first. Equal ones count as often as they come.
pub(crate) struct Best {
    format: Format,
    greatest: bool,
    k: usize,
    lists: Lists,
}

enum Lists {
    Small(Vec<Vec<u64>>),
    Wide(Vec<Vec<u128>>),
    Bytes(Vec<Vec<Vec<u8>>>),
}

impl Best {
    pub(crate) fn new(fields: &[FieldRef], greatest: bool, k: usize) -> Result<Self> {
        let format = format(fields)?;
        let empty: Vec<ArrayRef> = fields.iter().map(|field| new_empty_array(field.data_type())).collect();
        let lists = match format.rows(&empty, 0)? {
            Rows::Small(_) => Lists::Small(Vec::new()),
            Rows::Wide(_) => Lists::Wide(Vec::new()),
            Rows::Bytes(_) => Lists::Bytes(Vec::new()),
        };
        Ok(Self { format, greatest, k, lists })
    }

    fn offer(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let (greatest, k) = (self.greatest, self.k);
        let nulls = columns[0].logical_nulls();
        let valid = |row: &usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row));
        let places = (0..rows.len()).filter(valid);
        match (&mut self.lists, self.format.rows(columns, rows.len())?) {
            (Lists::Small(lists), Rows::Small(words)) => {
                places.for_each(|row| keep(&mut lists[rows[row] as usize], &words[row], greatest, k));
            }
            (Lists::Wide(lists), Rows::Wide(words)) => {
                places.for_each(|row| keep(&mut lists[rows[row] as usize], &words[row], greatest, k));
            }
            (Lists::Bytes(lists), Rows::Bytes(bytes)) => {
                places.for_each(|row| keep(&mut lists[rows[row] as usize], bytes.get(row), greatest, k));
            }
            _ => return Err(Problem::new("rows of another format")),
        }
        Ok(())
    }

    /// The columns of the best rows of these groups, as lists.
    fn columns(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        fn words<K: Copy>(lists: &[Vec<K>], groups: &[u32]) -> (Vec<usize>, Vec<K>) {
            let lists = groups.iter().map(|&group| &lists[group as usize]);
            (lists.clone().map(Vec::len).collect(), lists.flatten().copied().collect())
        }
        let (lengths, rows) = match &self.lists {
            Lists::Small(lists) => {
                let (lengths, rows) = words(lists, groups);
                (lengths, Rows::Small(rows))
            }
            Lists::Wide(lists) => {
                let (lengths, rows) = words(lists, groups);
                (lengths, Rows::Wide(rows))
            }
            Lists::Bytes(lists) => {
                let lists = groups.iter().map(|&group| &lists[group as usize]);
                let mut rows = Bytes::default();
                lists.clone().flatten().for_each(|row| rows.push(row));
                (lists.map(Vec::len).collect(), Rows::Bytes(rows))
            }
        };
        let columns = self.format.columns(&rows)?.into_iter();
        columns.map(|items| list(item(items.data_type()), lengths.iter().copied(), items)).collect()
    }
}

fn item(data_type: &DataType) -> FieldRef {
    field("item", data_type.clone(), true)
}

/// Puts a row into a list of the best ones if it is better than the last, or if the list is short.
#[inline]
fn keep<K: Borrow<Q>, Q: ?Sized + Ord + ToOwned<Owned = K>>(best: &mut Vec<K>, row: &Q, greatest: bool, k: usize) {
    let is_before = |other: &K| if greatest { other.borrow() >= row } else { other.borrow() <= row };
    if best.len() == k && best.last().is_some_and(is_before) {
        return;
    }
    let place = best.partition_point(is_before);
    best.insert(place, row.to_owned());
    best.truncate(k);
}

impl State for Best {
    fn fields(&self) -> Vec<FieldRef> {
        let list = |part: &FieldRef| DataType::List(item(part.data_type()));
        let parts = self.format.fields().iter().enumerate();
        parts.map(|(at, part)| field(&at.to_string(), list(part), false)).collect()
    }

    fn result_type(&self, _: Finish) -> (DataType, bool) {
        let value = self.format.fields().last().map(|field| plain_type(field.data_type()).clone());
        (DataType::List(item(&value.unwrap_or(DataType::Null))), false)
    }

    fn grow(&mut self, groups: usize) {
        match &mut self.lists {
            Lists::Small(lists) => lists.resize(groups, Vec::new()),
            Lists::Wide(lists) => lists.resize(groups, Vec::new()),
            Lists::Bytes(lists) => lists.resize(groups, Vec::new()),
        }
    }

    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        self.offer(rows, columns)
    }

    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let lists = columns.iter().map(list_items).collect::<Result<Vec<_>>>()?;
        let rows: Vec<u32> = lists[0].0.iter().map(|&row| rows[row]).collect();
        let items: Vec<ArrayRef> = lists.into_iter().map(|(_, items)| items).collect();
        self.offer(&rows, &items)
    }

    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        self.columns(groups)
    }

    fn result(&self, _: Finish, groups: &[u32]) -> Result<ArrayRef> {
        self.columns(groups)?.pop().ok_or_else(|| Problem::new("a result without a column"))
    }
}
