//! How far columns of the same rows are from each other, and whether that is too far.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use flowc_planner::plan::{Claim, Stage, Tolerance};
use flowc_store::{Store, StoredColumn};

use crate::Error;
use crate::run::align::{Alignment, Pairing};

/// How near the numbers of a stage have to be to others of the same rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Nearness {
    /// The same bits.
    Bits,
    /// As near as the pipeline claims.
    Within(Tolerance),
    /// The device decides: how far they are is told.
    Any,
}

impl Nearness {
    /// What a stage has to keep to.
    pub(crate) fn of(stage: &Stage) -> Self {
        match stage.claim {
            Some(Claim::Portable(tolerance)) => Self::Within(tolerance),
            Some(Claim::Exact) => Self::Bits,
            None if stage.is_of_device() => Self::Any,
            None => Self::Bits,
        }
    }

    /// Whether rows that differ in their bits are too far from each other.
    fn is_broken(self, one: &ArrayRef, other: &ArrayRef) -> bool {
        match self {
            Self::Bits => true,
            Self::Any => false,
            Self::Within(tolerance) => match (numbers(one), numbers(other)) {
                (Some(one), Some(other)) if one.len() == other.len() => {
                    !one.iter().zip(&other).all(|(one, other)| tolerance.allows(*one, *other))
                }
                _ => true,
            },
        }
    }
}

/// A row of a dataset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPlace {
    /// The segment.
    pub segment: usize,
    /// The row in it, from 0.
    pub row: u64,
}

/// How far columns are from others: one, or several that together tell rows apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Distance {
    /// Rows that were compared.
    pub rows: u64,
    /// Rows whose bits differ.
    pub differing: u64,
    /// Rows that are too far from each other, and the first of them.
    pub broken: u64,
    /// The first of these.
    pub first: Option<RowPlace>,
    /// The largest difference of two numbers, and where it is. None where no numbers differ.
    pub largest: Option<(f64, RowPlace)>,
    /// Rows that were not compared: which of both belong together can't be told.
    pub unaligned: u64,
}

impl Distance {
    /// Adds rows of pairs of columns, the first of which is at a place. A row differs where it does in any of them.
    pub(crate) fn add(&mut self, pairs: &[[ArrayRef; 2]], nearness: Nearness, start: RowPlace) {
        let rows = pairs.iter().map(|[before, now]| before.len().min(now.len())).min().unwrap_or(0);
        self.rows += rows as u64;
        let unlike: Vec<_> = pairs.iter().filter(|[before, now]| before != now).collect();
        for row in 0..rows {
            let cells = unlike.iter().map(|[before, now]| [before.slice(row, 1), now.slice(row, 1)]);
            let cells: Vec<_> = cells.filter(|[before, now]| **before != **now).collect();
            if !cells.is_empty() {
                self.add_row(&cells, nearness, RowPlace { row: start.row + row as u64, ..start });
            }
        }
    }

    /// Adds a row that differs, by its values that do.
    fn add_row(&mut self, cells: &[[ArrayRef; 2]], nearness: Nearness, place: RowPlace) {
        self.differing += 1;
        if cells.iter().any(|[before, now]| nearness.is_broken(before, now)) {
            self.broken += 1;
            self.first = self.first.or(Some(place));
        }
        let apart = cells.iter().filter_map(|[before, now]| apart(before, now)).reduce(f64::max);
        if let Some(apart) = apart.filter(|apart| self.largest.is_none_or(|(largest, _)| *apart > largest)) {
            self.largest = Some((apart, place));
        }
    }

    /// Adds what was found of other rows.
    pub(crate) fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.unaligned += other.unaligned;
        self.differing += other.differing;
        self.broken += other.broken;
        self.first = self.first.into_iter().chain(other.first).min();
        let is_larger = |(largest, _): &(f64, RowPlace)| self.largest.is_none_or(|(known, _)| *largest > known);
        self.largest = other.largest.filter(is_larger).or(self.largest);
    }
}

/// Which of the rows that either result of a segment has only one of them has.
pub(crate) fn distance_of_rows(aligned: &Alignment, nearness: Nearness, segment: usize) -> Distance {
    let broken = if nearness == Nearness::Any { 0 } else { aligned.apart };
    let first = (broken > 0).then_some(RowPlace { segment, row: aligned.first });
    Distance { rows: aligned.rows(), differing: aligned.apart, broken, first, ..Distance::default() }
}

/// How far pairs of stored columns of a segment are from each other, in the rows that belong together. Where nothing shows which these
/// are, values that decide whether a stage is at fault are taken to be in the same rows, and others are not compared.
///
/// # Errors
/// If the store can't be read.
pub(crate) fn distance(
    store: &Store,
    pairs: &[[StoredColumn; 2]],
    nearness: Nearness,
    segment: usize,
    pairing: &Pairing,
) -> Result<Distance, Error> {
    let rows = pairs.iter().flatten().map(|column| column.rows).max().unwrap_or(0);
    let unlike: Vec<[StoredColumn; 2]> =
        pairs.iter().filter(|[before, now]| before.content != now.content).copied().collect();
    match pairing {
        Pairing::Aligned(aligned) => distance_of_aligned(store, pairs, nearness, segment, aligned),
        _ if unlike.is_empty() => Ok(Distance { rows, ..Distance::default() }),
        Pairing::Unknown if nearness == Nearness::Any => Ok(Distance { unaligned: rows, ..Distance::default() }),
        _ if pairs.iter().flatten().any(|column| column.rows != rows) => {
            let broken = if nearness == Nearness::Any { 0 } else { rows };
            let first = (broken > 0).then_some(RowPlace { segment, row: 0 });
            Ok(Distance { rows, differing: rows, broken, first, ..Distance::default() })
        }
        _ => distance_by_place(store, &unlike, nearness, segment),
    }
}

/// The distance of columns that have the same rows.
fn distance_by_place(
    store: &Store,
    unlike: &[[StoredColumn; 2]],
    nearness: Nearness,
    segment: usize,
) -> Result<Distance, Error> {
    let (mut distance, mut row) = (Distance::default(), 0);
    for chunk in store.read(unlike.as_flattened())? {
        let chunk = chunk?;
        let pairs: Vec<[ArrayRef; 2]> = chunk.as_chunks().0.to_vec();
        distance.add(&pairs, nearness, RowPlace { segment, row });
        row += chunk.first().map_or(0, |column| column.len() as u64);
    }
    Ok(distance)
}

/// The distance of columns in the rows that both have.
fn distance_of_aligned(
    store: &Store,
    pairs: &[[StoredColumn; 2]],
    nearness: Nearness,
    segment: usize,
    aligned: &Alignment,
) -> Result<Distance, Error> {
    let mut distance = Distance { unaligned: aligned.ambiguous, ..Distance::default() };
    let [before, now] = [0, 1].map(|side| {
        let columns: Vec<StoredColumn> = pairs.iter().map(|pair| pair[side]).collect();
        cells(store, &columns, &aligned.common[side])
    });
    for ((before, now), row) in before?.zip(now?).zip(&aligned.common[1]) {
        let pairs: Vec<[ArrayRef; 2]> = before?.into_iter().zip(now?).map(<[ArrayRef; 2]>::from).collect();
        distance.add(&pairs, nearness, RowPlace { segment, row: *row });
    }
    Ok(distance)
}

/// Some rows of stored columns, one by one. The rows ascend.
fn cells<'a>(
    store: &Store,
    columns: &[StoredColumn],
    rows: &'a [u64],
) -> Result<impl Iterator<Item = Result<Vec<ArrayRef>, Error>> + use<'a>, Error> {
    let (mut chunks, mut start) = (store.read(columns)?, 0);
    let mut chunk: Vec<ArrayRef> = Vec::new();
    Ok(rows.iter().map_while(move |row| {
        loop {
            let length = chunk.first().map_or(0, |column| column.len() as u64);
            if *row < start + length {
                let place = (row - start) as usize;
                return Some(Ok(chunk.iter().map(|column| column.slice(place, 1)).collect()));
            }
            start += length;
            chunk = match chunks.next()? {
                Ok(chunk) => chunk,
                Err(error) => return Some(Err(error.into())),
            };
        }
    }))
}

/// The largest difference of the numbers of a row.
fn apart(one: &ArrayRef, other: &ArrayRef) -> Option<f64> {
    let (one, other) = (numbers(one)?, numbers(other)?);
    let differences = one.into_iter().zip(other).map(|(one, other)| (one - other).abs());
    differences.filter(|difference| !difference.is_nan()).reduce(f64::max)
}

/// The floats of a row. None where it is null, or has others.
fn numbers(array: &ArrayRef) -> Option<Vec<f64>> {
    if array.null_count() > 0 {
        return None;
    }
    match array.data_type() {
        DataType::Float16 => {
            Some(array.as_primitive::<Float16Type>().values().iter().map(|value| value.to_f64()).collect())
        }
        DataType::Float32 => {
            Some(array.as_primitive::<Float32Type>().values().iter().map(|value| f64::from(*value)).collect())
        }
        DataType::Float64 => Some(array.as_primitive::<Float64Type>().values().to_vec()),
        DataType::FixedSizeList(..) => numbers(&array.as_fixed_size_list().value(0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{FixedSizeListArray, Float32Array, Int32Array};

    use super::*;

    fn at(segment: usize, row: u64) -> RowPlace {
        RowPlace { segment, row }
    }

    #[test]
    fn the_largest_difference_is_told_with_its_row() {
        let before: ArrayRef =
            Arc::new(Float32Array::from(vec![Some(1.0), Some(2.0), None, Some(4.0), Some(f32::NAN)]));
        let now: ArrayRef =
            Arc::new(Float32Array::from(vec![Some(1.0), Some(2.5), Some(3.0), Some(4.25), Some(f32::NAN)]));
        let found = |nearness: Nearness| {
            let mut distance = Distance::default();
            distance.add(&[[before.clone(), now.clone()]], nearness, at(3, 100));
            distance
        };
        let any = found(Nearness::Any);
        let largest = Some((0.5, at(3, 101)));
        assert_eq!(any, Distance { rows: 5, differing: 3, largest, ..Distance::default() });
        let near = found(Nearness::Within(Tolerance { abs: 0.5, rel: 0.0 }));
        assert_eq!((near.broken, near.first), (1, Some(at(3, 102))), "null is near to no number");
        assert_eq!((found(Nearness::Bits).broken, found(Nearness::Bits).first), (3, Some(at(3, 101))));
        let mut all = Distance { rows: 1, differing: 1, largest: Some((0.25, at(0, 0))), ..Distance::default() };
        all.merge(near);
        let first = Some(at(3, 102));
        assert_eq!(all, Distance { rows: 6, differing: 4, broken: 1, first, largest, ..Distance::default() });
    }

    #[test]
    fn lists_have_the_difference_of_their_values_and_others_none() {
        let list = |values: [f32; 2]| -> ArrayRef {
            let rows = [Some(values.map(Some))];
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, 2))
        };
        let near = Nearness::Within(Tolerance { abs: 0.5, rel: 0.0 });
        let mut distance = Distance::default();
        distance.add(&[[list([1.0, 2.0]), list([1.5, 0.0])]], near, at(0, 0));
        assert_eq!((distance.largest, distance.broken), (Some((2.0, at(0, 0))), 1));
        let number = |number: i32| -> ArrayRef { Arc::new(Int32Array::from(vec![number])) };
        let mut distance = Distance::default();
        distance.add(&[[number(1), number(2)]], near, at(0, 0));
        assert_eq!((distance.differing, distance.broken, distance.largest), (1, 1, None));
    }

    #[test]
    fn a_row_of_several_columns_differs_once() {
        let numbers = |numbers: &[i32]| -> ArrayRef { Arc::new(Int32Array::from(numbers.to_vec())) };
        let ids = [numbers(&[1, 2, 3, 4]), numbers(&[1, 2, 4, 5])];
        let names = [numbers(&[7, 7, 7, 7]), numbers(&[7, 8, 8, 7])];
        let mut distance = Distance::default();
        distance.add(&[ids, names], Nearness::Bits, at(2, 10));
        let first = Some(at(2, 11));
        let expected = Distance { rows: 4, differing: 3, broken: 3, first, ..Distance::default() };
        assert_eq!(distance, expected);
    }
}
