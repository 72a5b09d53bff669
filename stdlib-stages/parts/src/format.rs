//! Rows of some columns as numbers or bytes whose order is theirs, and back.

use std::cmp::Ordering;

use flowc_sdk::arrow::buffer::NullBuffer;
use flowc_sdk::prelude::*;

use crate::bytes::{self, Bytes};
use crate::plain::{plain, plain_type};
use crate::values;
use crate::word::{Word, hash_bytes};

/// A column of a format.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) data_type: DataType,
    pub(crate) ordering: values::Ordering,
    pub(crate) nullable: bool,
}

/// How rows of some columns are held. Columns are compared in their order; null comes before all values.
#[derive(Clone, Debug)]
pub struct Format {
    parts: Vec<Part>,
    fields: Vec<FieldRef>,
    bits: Option<u32>,
}

/// Rows in some format.
#[derive(Debug)]
pub enum Rows {
    /// Numbers.
    Small(Vec<u64>),
    /// Wider numbers.
    Wide(Vec<u128>),
    /// Bytes.
    Bytes(Bytes),
}

impl Format {
    /// That of columns of these fields.
    ///
    /// # Errors
    /// If a column's values have no order: nested ones and intervals.
    pub fn new(fields: &[FieldRef]) -> Result<Self> {
        let part = |field: &FieldRef| {
            let data_type = plain_type(field.data_type()).clone();
            let ordering = values::Ordering::of(&data_type).ok_or_else(|| {
                Problem::new(format!("column `{}` is {data_type}, whose values can't be compared", field.name()))
            })?;
            Ok(Part { data_type, ordering, nullable: field.is_nullable() && ordering != values::Ordering::Null })
        };
        let parts = fields.iter().map(part).collect::<Result<Vec<Part>>>()?;
        let bits = parts.iter().map(|part| Some(part.ordering.bits()? + u32::from(part.nullable))).sum();
        let plain =
            |(field, part): (&FieldRef, &Part)| Arc::new(field.as_ref().clone().with_data_type(part.data_type.clone()));
        let fields = fields.iter().zip(&parts).map(plain).collect();
        Ok(Self { parts, fields, bits })
    }

    /// The columns that come out: those of dictionaries and runs as their values.
    pub fn fields(&self) -> &[FieldRef] {
        &self.fields
    }

    /// Whether rows are bytes, or how many bits they have.
    pub(crate) fn bits(&self) -> Option<u32> {
        self.bits
    }

    /// The rows of a batch.
    ///
    /// # Errors
    /// If a column is not of the format.
    pub fn rows(&self, columns: &[ArrayRef], rows: usize) -> Result<Rows> {
        let columns = columns.iter().map(plain).collect::<Result<Vec<ArrayRef>>>()?;
        Ok(match self.bits {
            Some(bits) if bits <= u64::BITS => Rows::Small(self.words(&columns, rows)?),
            Some(bits) if bits <= u128::BITS => Rows::Wide(self.words(&columns, rows)?),
            _ => Rows::Bytes(bytes::encode(&self.parts, &columns, rows)?),
        })
    }

    fn words<W: Word>(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<W>> {
        let mut words = vec![W::default(); rows];
        for (part, column) in self.parts.iter().zip(columns) {
            match column.logical_nulls().filter(|_| part.nullable) {
                Some(nulls) => {
                    let bits = words.iter_mut().zip(nulls.iter());
                    bits.for_each(|(word, valid)| *word = word.push(1, u128::from(valid)));
                }
                None if part.nullable => words.iter_mut().for_each(|word| *word = word.push(1, 1)),
                None => {}
            }
            values::push(&mut words, column, part.ordering)?;
        }
        Ok(words)
    }

    /// The columns of some rows.
    ///
    /// # Errors
    /// If they are too many for their types' offsets.
    pub fn columns(&self, rows: &Rows) -> Result<Vec<ArrayRef>> {
        match rows {
            Rows::Small(words) => self.unpacked(words),
            Rows::Wide(words) => self.unpacked(words),
            Rows::Bytes(rows) => bytes::decode(&self.parts, rows),
        }
    }

    fn unpacked<W: Word>(&self, words: &[W]) -> Result<Vec<ArrayRef>> {
        let mut behind = self.bits.unwrap_or_default();
        let column = |part: &Part| {
            let bits = part.ordering.bits().unwrap_or_default();
            let nulls = part.nullable.then(|| {
                behind -= 1;
                words.iter().map(|word| word.get(1, behind) == 1).collect::<NullBuffer>()
            });
            behind -= bits;
            let codes: Vec<u128> = words.iter().map(|word| word.get(bits, behind)).collect();
            values::from_codes(&part.data_type, part.ordering, &codes, nulls.filter(|nulls| nulls.null_count() > 0))
        };
        self.parts.iter().map(column).collect()
    }
}

impl Rows {
    /// How a row compares with one of others of the same format.
    pub fn compare(&self, row: usize, others: &Self, other: usize) -> Ordering {
        match (self, others) {
            (Rows::Small(own), Rows::Small(others)) => own[row].cmp(&others[other]),
            (Rows::Wide(own), Rows::Wide(others)) => own[row].cmp(&others[other]),
            (Rows::Bytes(own), Rows::Bytes(others)) => own.get(row).cmp(others.get(other)),
            // Rows of two formats are never compared.
            _ => Ordering::Equal,
        }
    }

    /// A hash of 64 bits for each row. It is the same in every version of the stages.
    pub fn hashes(&self) -> Vec<u64> {
        match self {
            Rows::Small(words) => words.iter().map(|word| word.hash64()).collect(),
            Rows::Wide(words) => words.iter().map(|word| word.hash64()).collect(),
            Rows::Bytes(rows) => (0..rows.len()).map(|row| hash_bytes(rows.get(row))).collect(),
        }
    }
}
