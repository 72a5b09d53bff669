//! Which rows of two results belong together, where a stage picks rows and may have picked others each time.
//!
//! Both results are some of the rows of the same input, in its order. The columns that the stage passes on tell rows apart; rows that
//! are equal in all of these can't be. Where these columns are the same throughout, the rows are taken to be the same: of two results
//! that pick by the same code it is the likely case, and the only one where nothing is known to differ.

use std::collections::HashMap;

use arrow_array::ArrayRef;
use arrow_row::{RowConverter, SortField};
use flowc_store::{Store, StoredColumn};

use crate::Error;

/// What tells a row from others.
type RowDigest = [u8; 32];

/// How rows of another result are paired with those of the stage.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// Both have the same rows.
    ByPlace,
    /// Each has some that the other one has not.
    Aligned(Alignment),
    /// Nothing shows which rows they are.
    Unknown,
}

/// Rows of two results.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Alignment {
    /// Rows that both have: where they are in the other result, and where in that of the stage. Both ascend.
    pub common: [Vec<u64>; 2],
    /// Rows that only one of them has, or that stand in another order.
    pub apart: u64,
    /// Rows of both that are equal to others, so that it can't be told which belong together.
    pub ambiguous: u64,
    /// The first place where the results part.
    pub first: u64,
}

impl Alignment {
    /// Aligns the rows of another result with those of the stage.
    fn of(before: &[RowDigest], now: &[RowDigest]) -> Self {
        // How often each row is there, and where the last one is.
        let mut known: HashMap<&RowDigest, [(u64, u64); 2]> = HashMap::new();
        for (side, rows) in [before, now].into_iter().enumerate() {
            for (place, row) in (0..).zip(rows) {
                let (count, last) = &mut known.entry(row).or_default()[side];
                (*count, *last) = (*count + 1, place);
            }
        }
        let first = before.iter().zip(now).take_while(|(before, now)| before == now).count() as u64;
        let mut aligned = Self { first, ..Self::default() };
        for [(before, _), (now, _)] in known.values().filter(|[(before, _), (now, _)]| (*before, *now) != (1, 1)) {
            aligned.ambiguous += before.min(now);
            aligned.apart += before.abs_diff(*now);
        }
        for (place, row) in (0..).zip(now) {
            let Some([(1, there), (1, _)]) = known.get(row) else { continue };
            let [theirs, own] = &mut aligned.common;
            if theirs.last().is_none_or(|last| last < there) {
                theirs.push(*there);
                own.push(place);
            } else {
                aligned.apart += 1;
            }
        }
        aligned
    }

    /// Rows that either result has.
    pub(crate) fn rows(&self) -> u64 {
        self.common[0].len() as u64 + self.apart + self.ambiguous
    }
}

/// Pairs the rows of a segment, by the columns that a stage passes on: those of the other result, and its own.
///
/// # Errors
/// If the store can't be read.
pub(crate) fn pairing(store: &Store, passed: &[[StoredColumn; 2]]) -> Result<Pairing, Error> {
    if passed.is_empty() {
        return Ok(Pairing::Unknown);
    }
    if passed.iter().all(|[before, now]| before.content == now.content) {
        return Ok(Pairing::ByPlace);
    }
    let side = |side: usize| digests(store, &passed.iter().map(|pair| pair[side]).collect::<Vec<_>>());
    let (Some(before), Some(now)) = (side(0)?, side(1)?) else { return Ok(Pairing::Unknown) };
    Ok(Pairing::Aligned(Alignment::of(&before, &now)))
}

/// What tells rows of some columns apart. None where their types have no such thing.
fn digests(store: &Store, columns: &[StoredColumn]) -> Result<Option<Vec<RowDigest>>, Error> {
    let mut digests = Vec::new();
    for chunk in store.read(columns)? {
        match of_chunk(&chunk?) {
            Some(of_chunk) => digests.extend(of_chunk),
            None => return Ok(None),
        }
    }
    Ok(Some(digests))
}

fn of_chunk(columns: &[ArrayRef]) -> Option<Vec<RowDigest>> {
    let fields: Vec<_> = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields).ok()?.convert_columns(columns).ok()?;
    Some(rows.iter().map(|row| *blake3::hash(row.as_ref()).as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int32Array, StringArray};

    use super::*;

    fn aligned(before: &[i32], now: &[i32]) -> Alignment {
        let digests = |rows: &[i32]| {
            let names = rows.iter().map(|row| format!("row {row}"));
            of_chunk(&[Arc::new(Int32Array::from(rows.to_vec())), Arc::new(StringArray::from_iter_values(names))])
                .unwrap()
        };
        Alignment::of(&digests(before), &digests(now))
    }

    #[test]
    fn rows_of_both_are_found_after_those_that_one_of_them_lacks() {
        let found = aligned(&[1, 3, 4, 6, 7], &[1, 2, 3, 5, 6, 7]);
        let common = [vec![0, 1, 3, 4], vec![0, 2, 4, 5]];
        assert_eq!(found, Alignment { common, apart: 3, ambiguous: 0, first: 1 });
        assert_eq!(found.rows(), 7);
        assert_eq!(aligned(&[1, 2], &[1]), Alignment { common: [vec![0], vec![0]], apart: 1, ambiguous: 0, first: 1 });
        assert_eq!(aligned(&[1, 3], &[2, 4]), Alignment { apart: 4, ..Alignment::default() });
    }

    /// Every pair of subsequences of rows that differ: what both have is found, and nothing else.
    #[test]
    fn any_two_subsequences_are_aligned() {
        let kept = |mask: u32| (0..5).filter(|row| mask >> row & 1 == 1).collect::<Vec<i32>>();
        for (one, other) in (0..32).flat_map(|one| (0..32).map(move |other| (one, other))) {
            let (before, now) = (kept(one), kept(other));
            let Alignment { common: [theirs, own], apart, ambiguous, .. } = aligned(&before, &now);
            let of =
                |rows: &[i32], places: &[u64]| places.iter().map(|place| rows[*place as usize]).collect::<Vec<_>>();
            assert_eq!((of(&before, &theirs), of(&now, &own)), (kept(one & other), kept(one & other)));
            assert_eq!((apart, ambiguous), (u64::from((one ^ other).count_ones()), 0));
        }
    }

    #[test]
    fn equal_rows_are_not_paired() {
        let found = aligned(&[1, 5, 5, 2], &[1, 5, 2, 3]);
        assert_eq!(found, Alignment { common: [vec![0, 3], vec![0, 2]], apart: 2, ambiguous: 1, first: 2 });
        assert_eq!(
            aligned(&[5, 5, 1], &[5, 5]),
            Alignment { apart: 1, ambiguous: 2, first: 2, ..Alignment::default() }
        );
    }

    #[test]
    fn rows_in_another_order_are_not_paired() {
        let found = aligned(&[1, 2, 3], &[2, 1, 3]);
        assert_eq!(found, Alignment { common: [vec![1, 2], vec![0, 2]], apart: 1, ambiguous: 0, first: 0 });
    }
}
