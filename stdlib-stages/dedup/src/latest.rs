//! The value in the row that stays, by key.

use flowc_sdk::arrow::array::new_empty_array;
use flowc_sdk::prelude::*;
use stage_parts::{Format, Rows};

use crate::Keep;

/// Values by key, in the form that their format has.
pub(crate) enum Latest {
    Small(Vec<u64>),
    Wide(Vec<u128>),
    Bytes(Vec<Vec<u8>>),
}

impl Latest {
    /// None yet, of values of this format.
    pub(crate) fn new(format: &Format) -> Result<Self> {
        let empty: Vec<ArrayRef> = format.fields().iter().map(|field| new_empty_array(field.data_type())).collect();
        Ok(match format.rows(&empty, 0)? {
            Rows::Small(_) => Self::Small(Vec::new()),
            Rows::Wide(_) => Self::Wide(Vec::new()),
            Rows::Bytes(_) => Self::Bytes(Vec::new()),
        })
    }

    /// Takes a row's value for a key if it is the first of it, or a better one: says so then. Of rows with equal values the
    /// first one stays the first, and the last one the last.
    pub(crate) fn offer(&mut self, key: usize, values: &Rows, row: usize, keep: Keep) -> Result<bool> {
        match (self, values) {
            (Self::Small(known), Rows::Small(values)) => Ok(offer(known, key, values[row], keep)),
            (Self::Wide(known), Rows::Wide(values)) => Ok(offer(known, key, values[row], keep)),
            (Self::Bytes(known), Rows::Bytes(values)) => Ok(offer(known, key, values.get(row).to_vec(), keep)),
            _ => Err(Problem::new("values of another format")),
        }
    }
}

fn offer<K: Ord>(known: &mut Vec<K>, key: usize, value: K, keep: Keep) -> bool {
    match known.get_mut(key) {
        None => known.push(value),
        Some(known) if (keep == Keep::First && value < *known) || (keep == Keep::Last && value >= *known) => {
            *known = value
        }
        Some(_) => return false,
    }
    true
}
