//! The table of a kernel: an input that is there as a whole. It stays on the device as long as others of the same content may come.

use std::collections::HashMap;
use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{Buffer, NullBuffer};
use flowc_kernel::Contents;
use flowc_planner::quantity::size;
use flowc_runner::Batch;

use crate::adapter::Adapter;
use crate::upload::{self, Unfit};

/// A table as a kernel's buffers hold it.
pub(crate) struct Table {
    rows: u32,
    piece: Option<u32>,
    parts: HashMap<Contents, Content>,
}

/// What a kernel wants of its table.
pub(crate) struct Wanted<'a> {
    pub(crate) of: &'a flowc_kernel::Table,
    /// The names of the columns that are read.
    pub(crate) names: &'a [String],
    /// Rows without a null that there are at least.
    pub(crate) least: usize,
    pub(crate) buffers: &'a [Contents],
}

/// What a buffer begins with.
pub(crate) struct Content {
    pub(crate) bytes: Buffer,
    pub(crate) digest: [u8; 32],
}

impl Table {
    /// The table of a kernel.
    ///
    /// # Errors
    /// In words, if the kernel can't be given it.
    pub(crate) fn new(wanted: &Wanted<'_>, adapter: &Adapter, batches: &[Batch]) -> Result<Self, String> {
        let Wanted { of, names, .. } = wanted;
        let rows: usize = batches.iter().map(Batch::rows).sum();
        let columns: Vec<ArrayRef> = match rows {
            0 => Vec::new(),
            _ => of.reads.iter().map(|column| whole(batches, *column)).collect::<Result<_, _>>()?,
        };
        wanted.check_least(rows, &columns)?;
        let mut parts = HashMap::new();
        for contents in wanted.buffers {
            let Contents::Table { column, part } = contents else { continue };
            let place = of.reads.binary_search(column).map_err(|_| "a column of the table was not handed over")?;
            let bytes = match columns.get(place) {
                Some(array) => upload::part(array, *part).map_err(|unfit| told(&unfit, &names[place]))?,
                None => Buffer::from_vec(vec![0u32]),
            };
            if bytes.len() as u64 > adapter.limits.binding {
                let ([has, most], name) = ([bytes.len() as u64, adapter.limits.binding].map(size), &adapter.name);
                return Err(format!(
                    "column `{}` of the table has {has} in {rows} rows, and `{name}` takes {most}",
                    names[place]
                ));
            }
            let digest = *blake3::hash(&bytes).as_bytes();
            parts.insert(*contents, Content { bytes, digest });
        }
        let rows = u32::try_from(rows).map_err(|_| "the table has more rows than 32 bits can count")?;
        Ok(Self { rows, piece: of.piece, parts })
    }

    /// Bytes of all its buffers.
    pub(crate) fn bytes(&self) -> u64 {
        self.parts.values().map(|content| content.bytes.len() as u64).sum()
    }

    /// By what its buffers are known.
    pub(crate) fn digests(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        self.parts.values().map(|content| content.digest)
    }

    /// What the buffer of a column begins with.
    pub(crate) fn content(&self, contents: &Contents) -> Option<&Content> {
        self.parts.get(contents)
    }

    /// How many pieces there are.
    pub(crate) fn piece_count(&self) -> u32 {
        count(self.rows, self.piece)
    }

    /// The pieces that a kernel is run for, as its buffers say which one is at hand. There is one, at least.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        ranges(self.rows, self.piece)
            .map(|piece| [self.rows, piece.start, piece.end].iter().flat_map(|word| word.to_le_bytes()).collect())
    }
}

fn ranges(rows: u32, piece: Option<u32>) -> impl Iterator<Item = Range<u32>> {
    let piece = piece.unwrap_or(rows).max(1);
    (0..rows.max(1)).step_by(piece as usize).map(move |start| start..start.saturating_add(piece).min(rows))
}

/// How many ranges there are.
fn count(rows: u32, piece: Option<u32>) -> u32 {
    rows.max(1).div_ceil(piece.unwrap_or(rows).max(1))
}

/// A column of all batches.
fn whole(batches: &[Batch], column: usize) -> Result<ArrayRef, String> {
    let parts: Option<Vec<&ArrayRef>> = batches.iter().map(|batch| batch.column(column)).collect();
    let parts = parts.ok_or_else(|| format!("column {column} of the table was not handed over"))?;
    let parts: Vec<&dyn Array> = parts.into_iter().map(|part| &**part).collect();
    arrow_select::concat::concat(&parts).map_err(|error| error.to_string())
}

fn told(unfit: &Unfit, name: &str) -> String {
    match unfit {
        Unfit::NullInList(row) => {
            format!(
                "in row {} of the table a value in the list `{name}` is null; a kernel can be given null lists, not such values",
                row + 1
            )
        }
        Unfit::Texts => {
            format!("the texts of `{name}` in the table have more than 4 GiB, which a kernel can't be given")
        }
    }
}

impl Wanted<'_> {
    /// Checks that a table has as many rows as the kernel needs.
    fn check_least(&self, rows: usize, columns: &[ArrayRef]) -> Result<(), String> {
        let nulls = columns.iter().fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.nulls()));
        let left = rows - nulls.map_or(0, |nulls| nulls.null_count());
        if left >= self.least {
            return Ok(());
        }
        let (names, least) = (self.names.join("`, `"), self.least);
        Err(format!("the table has {left} rows with a `{names}`, and {least} are asked for"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_table_and_are_one_where_there_is_none() {
        let ranges = |rows, piece| {
            let ranges: Vec<_> = ranges(rows, piece).map(|range| (range.start, range.end)).collect();
            assert_eq!(count(rows, piece) as usize, ranges.len());
            ranges
        };
        assert_eq!(ranges(10, Some(4)), [(0, 4), (4, 8), (8, 10)]);
        assert_eq!(ranges(10, None), [(0, 10)]);
        assert_eq!(ranges(0, Some(4)), [(0, 0)]);
        assert_eq!(ranges(0, None), [(0, 0)]);
        assert_eq!(ranges(4, Some(4)), [(0, 4)]);
    }
}
