//! Distinct keys among rows.

use flowc_sdk::arrow::buffer::NullBuffer;
use flowc_sdk::prelude::*;

use crate::bytes::Bytes;
use crate::format::{Format, Rows};
use crate::table::{Strings, Words};

/// Numbers distinct keys in the order of their first appearance.
#[derive(Debug)]
pub struct Grouper {
    format: Format,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    /// Without columns all rows have one key.
    One(usize),
    Small(Words<u64>),
    Nullable(Nullable),
    Wide(Words<u128>),
    Bytes(Strings),
}

/// Keys of one column of 64 bits with nulls: one bit more would make them twice as wide.
#[derive(Debug)]
struct Nullable {
    /// That of the column without nulls.
    format: Format,
    words: Words<u64>,
    /// The number of null.
    null: Option<u32>,
}

/// Bits of a nullable value of 64 bits. The first one is 0 for null.
const NULLABLE: u32 = u64::BITS + 1;

impl Grouper {
    /// Of keys of these columns; null is a value like any other.
    ///
    /// # Errors
    /// If a column's values can't be compared.
    pub fn new(fields: &[FieldRef]) -> Result<Self> {
        let format = Format::new(fields)?;
        let keys = match format.bits() {
            _ if fields.is_empty() => Keys::One(0),
            Some(bits) if bits <= u64::BITS => Keys::Small(Words::new()),
            Some(NULLABLE) if fields.len() == 1 => Keys::Nullable(Nullable::new(&fields[0])?),
            Some(bits) if bits <= u128::BITS => Keys::Wide(Words::new()),
            _ => Keys::Bytes(Strings::new()),
        };
        Ok(Self { format, keys })
    }

    /// The key columns that come out.
    pub fn fields(&self) -> &[FieldRef] {
        self.format.fields()
    }

    /// Number of distinct keys so far.
    pub fn len(&self) -> usize {
        match &self.keys {
            Keys::One(count) => *count,
            Keys::Small(words) => words.keys().len(),
            Keys::Nullable(keys) => keys.words.keys().len(),
            Keys::Wide(words) => words.keys().len(),
            Keys::Bytes(strings) => strings.len(),
        }
    }

    /// Whether there was no row yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of each row's key.
    ///
    /// # Errors
    /// If the columns are not those of the keys.
    pub fn numbers(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        if let Keys::Nullable(keys) = &mut self.keys
            && columns[0].logical_null_count() == 0
        {
            let Rows::Small(values) = keys.format.rows(columns, rows)? else { return Err(of_another_format()) };
            return Ok(keys.words.numbers(&values));
        }
        if let Keys::Small(words) = &mut self.keys {
            let Rows::Small(keys) = self.format.rows(columns, rows)? else { return Err(of_another_format()) };
            return Ok(words.numbers(&keys));
        }
        let mut numbers = Vec::with_capacity(rows);
        self.each(columns, rows, None, |_, number| numbers.push(number))?;
        Ok(numbers)
    }

    /// Calls `then` with every row and the number of its key, but for rows that are null by `nulls`.
    ///
    /// # Errors
    /// If the columns are not those of the keys.
    pub fn each(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        nulls: Option<&NullBuffer>,
        mut then: impl FnMut(usize, u32),
    ) -> Result<()> {
        let valid = (0..rows).filter(|&row| nulls.is_none_or(|nulls| nulls.is_valid(row)));
        if let Keys::One(count) = &mut self.keys {
            *count = (*count).max(rows.min(1));
            valid.for_each(|row| then(row, 0));
            return Ok(());
        }
        if let Keys::Nullable(keys) = &mut self.keys {
            return keys.each(columns, rows, valid, then);
        }
        match (&mut self.keys, self.format.rows(columns, rows)?) {
            (Keys::Small(words), Rows::Small(rows)) => {
                words.expect(rows.iter().copied());
                valid.for_each(|row| then(row, words.number(rows[row])));
            }
            (Keys::Wide(words), Rows::Wide(rows)) => {
                words.expect(rows.iter().copied());
                valid.for_each(|row| then(row, words.number(rows[row])));
            }
            (Keys::Bytes(strings), Rows::Bytes(rows)) => {
                valid.for_each(|row| then(row, strings.number(rows.get(row))));
            }
            _ => return Err(of_another_format()),
        }
        Ok(())
    }

    /// The numbers of all keys in the order of the keys.
    pub fn sorted(&self) -> Vec<u32> {
        match &self.keys {
            Keys::One(count) => (0..*count as u32).collect(),
            Keys::Small(words) => words.sorted(),
            Keys::Nullable(keys) => keys.words.sorted(),
            Keys::Wide(words) => words.sorted(),
            Keys::Bytes(strings) => {
                let head = |number: u32| (strings.head(number as usize), number);
                let mut keys: Vec<(u64, u32)> = (0..strings.len() as u32).map(head).collect();
                let key = |number: u32| strings.key(number as usize);
                keys.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.1).cmp(key(b.1))));
                keys.into_iter().map(|(_, number)| number).collect()
            }
        }
    }

    /// The key columns of the keys with these numbers.
    ///
    /// # Errors
    /// If they are too many for their types' offsets.
    pub fn columns(&self, numbers: &[u32]) -> Result<Vec<ArrayRef>> {
        let numbers = numbers.iter().map(|&number| number as usize);
        self.format.columns(&match &self.keys {
            Keys::One(_) => return Ok(Vec::new()),
            Keys::Small(words) => Rows::Small(numbers.map(|number| words.keys()[number]).collect()),
            Keys::Nullable(keys) => Rows::Wide(numbers.map(|number| keys.row(number)).collect()),
            Keys::Wide(words) => Rows::Wide(numbers.map(|number| words.keys()[number]).collect()),
            Keys::Bytes(strings) => {
                let mut rows = Bytes::default();
                numbers.for_each(|number| rows.push(strings.key(number)));
                Rows::Bytes(rows)
            }
        })
    }
}

fn of_another_format() -> Problem {
    Problem::new("keys of another format")
}

impl Nullable {
    fn new(column: &FieldRef) -> Result<Self> {
        let format = Format::new(&[Arc::new(column.as_ref().clone().with_nullable(false))])?;
        Ok(Self { format, words: Words::new(), null: None })
    }

    fn each(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        wanted: impl Iterator<Item = usize>,
        mut then: impl FnMut(usize, u32),
    ) -> Result<()> {
        let Rows::Small(values) = self.format.rows(columns, rows)? else {
            return Err(of_another_format());
        };
        match columns[0].logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            None => {
                self.words.expect(values.iter().copied());
                wanted.for_each(|row| then(row, self.words.number(values[row])));
            }
            Some(nulls) => {
                self.words.expect(nulls.valid_indices().map(|row| values[row]));
                wanted.for_each(|row| {
                    let number = match nulls.is_valid(row) {
                        true => self.words.number(values[row]),
                        false => *self.null.get_or_insert_with(|| self.words.reserve()),
                    };
                    then(row, number);
                });
            }
        }
        Ok(())
    }

    /// A key as a row of the nullable column.
    fn row(&self, number: usize) -> u128 {
        match self.null.is_some_and(|null| null as usize == number) {
            true => 0,
            false => 1 << u64::BITS | u128::from(self.words.keys()[number]),
        }
    }
}
