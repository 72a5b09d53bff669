//! The table in memory, found by key.

use flowc_sdk::HashMap;
use flowc_sdk::arrow::array::{UInt32Array, new_empty_array};
use flowc_sdk::arrow::buffer::NullBuffer;
use flowc_sdk::arrow::compute::take;
use flowc_sdk::arrow::row::{RowConverter, Rows};
use flowc_sdk::prelude::*;
use stage_parts::joined;

use crate::join::Join;

/// The table's rows by their keys.
pub(crate) struct Table {
    converter: RowConverter,
    rows: HashMap<Box<[u8]>, u32>,
    count: u32,
    first: bool,
    /// Per column to add: its pieces, and one array in the end.
    pieces: Vec<Vec<ArrayRef>>,
    added: Vec<ArrayRef>,
}

impl Table {
    pub(crate) fn new(join: &Join, first: bool) -> Result<Self> {
        let pieces = join.added.iter().map(|column| vec![new_empty_array(column.data_type())]).collect();
        Ok(Self { converter: join.converter()?, rows: HashMap::default(), count: 0, first, pieces, added: Vec::new() })
    }

    /// Adds rows of the table.
    pub(crate) fn push(&mut self, join: &Join, columns: Vec<ArrayRef>, rows: usize) -> Result<()> {
        let of = |list: &[Column]| list.iter().map(|column| columns[column.index].clone()).collect::<Vec<_>>();
        let keys = of(&join.right);
        let (bytes, nulls) = (self.bytes(&keys)?, nulls(&keys));
        for row in 0..rows {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                self.note(bytes.row(row).as_ref(), self.count + row as u32, || shown(join, &keys, row))?;
            }
        }
        self.count = u32::try_from(self.count as usize + rows)?;
        self.pieces.iter_mut().zip(of(&join.added)).for_each(|(pieces, piece)| pieces.push(piece));
        Ok(())
    }

    /// Keys as bytes: equal keys, equal bytes.
    fn bytes(&self, keys: &[ArrayRef]) -> Result<Rows> {
        let keys = keys.iter().map(flowc_sdk::comparable).collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(self.converter.convert_columns(&keys)?)
    }

    fn note(&mut self, key: &[u8], row: u32, shown: impl FnOnce() -> String) -> Result<()> {
        match self.rows.contains_key(key) {
            true if self.first => Ok(()),
            true => Err(Problem::new(format!("the table has several rows with {}", shown()))
                .blame("/first")
                .help("make the key unique, or take the first with `first #true`")),
            false => {
                self.rows.insert(key.into(), row);
                Ok(())
            }
        }
    }

    /// The table is complete.
    pub(crate) fn close(&mut self, _join: &Join) -> Result<()> {
        for pieces in std::mem::take(&mut self.pieces) {
            self.added.push(joined(&pieces)?);
        }
        Ok(())
    }

    /// The table's row for each key; null where there is none. A key with a null in it has none.
    pub(crate) fn find(&self, keys: &[ArrayRef]) -> Result<UInt32Array> {
        let (bytes, nulls) = (self.bytes(keys)?, nulls(keys));
        let find = |row: usize| match nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            true => self.rows.get(bytes.row(row).as_ref()).copied(),
            false => None,
        };
        Ok((0..bytes.num_rows()).map(find).collect())
    }

    /// The columns to add, of these rows of the table.
    pub(crate) fn take(&self, rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
        self.added.iter().map(|column| Ok(take(column, rows, None)?)).collect()
    }
}

/// Rows with a null in their key, wherever it lies: among the values of a dictionary too.
fn nulls(keys: &[ArrayRef]) -> Option<NullBuffer> {
    let nulls: Vec<_> = keys.iter().map(|key| key.logical_nulls()).collect();
    NullBuffer::union_many(nulls.iter().map(Option::as_ref))
}

/// A key for people: `id = 3, day = 2024-01-01`.
fn shown(join: &Join, keys: &[ArrayRef], row: usize) -> String {
    use flowc_sdk::arrow::util::display::array_value_to_string;
    let part = |(column, key): (&Column, &ArrayRef)| {
        format!("{} = {}", column.name(), array_value_to_string(key, row).unwrap_or_default())
    };
    join.right.iter().zip(keys).map(part).collect::<Vec<_>>().join(", ")
}
