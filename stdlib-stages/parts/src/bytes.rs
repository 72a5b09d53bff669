//! Rows as bytes whose order is theirs, for keys that do not fit a number.
//!
//! A column that may be null begins with a byte: 0 for null, 1 for a value. Numbers follow big-endian. Bytes are ended by
//! two zeros, and a zero among them is followed by 255; those of the last column need no end and are left as they are.

use flowc_sdk::arrow::buffer::NullBuffer;
use flowc_sdk::prelude::*;

use crate::format::Part;
use crate::values::{self, Ordering};

/// Rows one behind the other.
#[derive(Debug, Default)]
pub struct Bytes {
    data: Vec<u8>,
    ends: Vec<usize>,
}

impl Bytes {
    /// Adds a row.
    pub fn push(&mut self, row: &[u8]) {
        self.data.extend_from_slice(row);
        self.ends.push(self.data.len());
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A row.
    pub fn get(&self, row: usize) -> &[u8] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.data[start..self.ends[row]]
    }
}

/// A column that rows are made of.
enum Cells<'a> {
    Codes { codes: Vec<u128>, bytes: usize },
    Bytes(Box<dyn Fn(usize) -> &'a [u8] + 'a>),
    Big(&'a ArrayRef),
}

impl<'a> Cells<'a> {
    fn of(part: &Part, column: &'a ArrayRef, rows: usize) -> Result<Self> {
        Ok(match part.ordering.bits() {
            Some(bits) => {
                let mut codes = vec![0_u128; rows];
                values::push(&mut codes, column, part.ordering)?;
                Cells::Codes { codes, bytes: bits.div_ceil(8) as usize }
            }
            None if part.ordering == Ordering::Big => Cells::Big(column),
            None => Cells::Bytes(values::bytes(column)),
        })
    }
}

/// The rows of some columns.
pub(crate) fn encode(parts: &[Part], columns: &[ArrayRef], rows: usize) -> Result<Bytes> {
    let cells: Vec<Cells<'_>> =
        parts.iter().zip(columns).map(|(part, column)| Cells::of(part, column, rows)).collect::<Result<_>>()?;
    let nulls: Vec<Option<NullBuffer>> = columns.iter().map(|column| column.logical_nulls()).collect();
    let mut out = Bytes { data: Vec::with_capacity(rows * 16), ends: Vec::with_capacity(rows) };
    for row in 0..rows {
        for (at, (part, cells)) in parts.iter().zip(&cells).enumerate() {
            let is_null = nulls[at].as_ref().is_some_and(|nulls| nulls.is_null(row));
            if part.nullable {
                out.data.push(u8::from(!is_null));
            }
            if is_null && part.nullable {
                continue;
            }
            match cells {
                Cells::Codes { codes, bytes } => out.data.extend_from_slice(&codes[row].to_be_bytes()[16 - bytes..]),
                Cells::Big(column) => out.data.extend_from_slice(&values::big(column, row)),
                Cells::Bytes(value) if at + 1 == parts.len() => out.data.extend_from_slice(value(row)),
                Cells::Bytes(value) => escape(value(row), &mut out.data),
            }
        }
        out.ends.push(out.data.len());
    }
    Ok(out)
}

fn escape(value: &[u8], out: &mut Vec<u8>) {
    for piece in value.split_inclusive(|&byte| byte == 0) {
        out.extend_from_slice(piece);
        if piece.ends_with(&[0]) {
            out.push(255);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// The columns of some rows. A row without bytes is one of nulls, or of zeros where there can be no null.
pub(crate) fn decode(parts: &[Part], rows: &Bytes) -> Result<Vec<ArrayRef>> {
    let mut starts: Vec<usize> = (0..rows.len()).map(|row| if row == 0 { 0 } else { rows.ends[row - 1] }).collect();
    let mut columns = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        let (mut valid, mut codes, mut data, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (row, start) in starts.iter_mut().enumerate() {
            let mut rest = &rows.data[*start..rows.ends[row]];
            let is_empty = rest.is_empty();
            let is_value =
                if part.nullable { take(&mut rest, 1) == [1] } else { !is_empty || part.ordering == Ordering::Bytes };
            match part.ordering.bits() {
                Some(bits) => {
                    let bytes = if is_value { take(&mut rest, bits.div_ceil(8) as usize) } else { &[] };
                    codes.push(bytes.iter().fold(0, |code, &byte| code << 8 | u128::from(byte)));
                }
                None if !is_value => {}
                None if part.ordering == Ordering::Big => data.extend_from_slice(take(&mut rest, 32)),
                None if is_last => data.extend_from_slice(take(&mut rest, usize::MAX)),
                None => unescape(&mut rest, &mut data),
            }
            valid.push(is_value);
            ends.push(data.len());
            *start = rows.ends[row] - rest.len();
        }
        let nulls = part.nullable.then(|| NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
        columns.push(match part.ordering.bits() {
            Some(_) => values::from_codes(&part.data_type, part.ordering, &codes, nulls)?,
            None => values::from_bytes(&part.data_type, data, &ends, nulls)?,
        });
    }
    Ok(columns)
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(bytes.min(rest.len()));
    *rest = left;
    taken
}

fn unescape(rest: &mut &[u8], out: &mut Vec<u8>) {
    while let Some(zero) = rest.iter().position(|&byte| byte == 0) {
        out.extend_from_slice(take(rest, zero));
        let pair = take(rest, 2);
        if pair != [0, 255] {
            return;
        }
        out.push(0);
    }
}
