//! Quantiles from values rounded to nine binary digits, of which there are few. Counts of them add up, so the result does not
//! depend on how rows are cut, as with other sketches.

use flowc_sdk::arrow::array::{Float64Array, Int64Array};
use flowc_sdk::arrow::buffer::ScalarBuffer;
use flowc_sdk::arrow::datatypes::{Float64Type, Int64Type};
use flowc_sdk::prelude::*;
use stage_parts::{list, list_items};

use crate::config::Finish;
use crate::distinct::Pairs;
use crate::numbers::{Kind, Numbers};
use crate::state::State;

/// How often each rounded value came, by group.
pub(crate) struct Quantiles {
    kind: Kind,
    pairs: Pairs,
    /// By pair of a group and a value.
    counts: Vec<i64>,
}

/// A float with the digits of its mantissa beyond the ninth rounded away: within 0.2 percent.
fn rounded(value: f64) -> f64 {
    const BITS: u32 = 44;
    match value.is_finite() {
        true => f64::from_bits((value.to_bits() + (1 << (BITS - 1))) >> BITS << BITS),
        false => value,
    }
}

impl Quantiles {
    pub(crate) fn new(kind: Kind) -> Result<Self> {
        Ok(Self { kind, pairs: Pairs::new(&DataType::Float64)?, counts: Vec::new() })
    }

    fn count(&mut self, rows: &[u32], values: &ArrayRef, times: impl Fn(usize) -> i64) -> Result<()> {
        let counts = &mut self.counts;
        self.pairs.add(rows, values, |row, pair| {
            if pair == counts.len() {
                counts.push(0);
            }
            counts[pair] += times(row);
        })
    }

    fn floats(&self, array: &ArrayRef) -> Result<ArrayRef> {
        let unit = 10_f64.powi(self.kind.scale().into());
        let values: ScalarBuffer<f64> = match Numbers::of(array)? {
            Numbers::Float(values) => values.iter().map(|&value| rounded(value)).collect(),
            Numbers::Signed(values) => values.iter().map(|&value| rounded(value as f64 / unit)).collect(),
            Numbers::Unsigned(values) => values.iter().map(|&value| rounded(value as f64 / unit)).collect(),
            Numbers::Wide(values) => values.iter().map(|&value| rounded(value as f64 / unit)).collect(),
            Numbers::Huge(values) => values
                .iter()
                .map(|&value| {
                    let (negative, magnitude) = crate::sum::magnitude(value);
                    let number = crate::exact::Number::new(negative, magnitude, 0);
                    rounded(number.to_f64() / unit)
                })
                .collect(),
        };
        Ok(Arc::new(Float64Array::new(values, array.logical_nulls())))
    }
}

/// The rank of a quantile among so many values, counted from one: the least that has the share up to it.
fn rank(quantile: f64, count: i64) -> i64 {
    let exact = quantile * count as f64;
    let near = exact.round();
    // 0.07 * 100 is a little more than 7 in floats.
    let rank = if (exact - near).abs() <= 1e-9 * count as f64 { near } else { exact.ceil() };
    (rank as i64).min(count).max(1)
}

impl State for Quantiles {
    fn fields(&self) -> Vec<FieldRef> {
        let list = |name: &str, items: DataType| field(name, DataType::List(field("item", items, false)), false);
        vec![list("values", DataType::Float64), list("counts", DataType::Int64)]
    }

    fn result_type(&self, _: Finish) -> (DataType, bool) {
        (DataType::Float64, true)
    }

    fn grow(&mut self, groups: usize) {
        self.pairs.grow(groups);
    }

    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let values = self.floats(&columns[0])?;
        self.count(rows, &values, |_| 1)
    }

    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let (places, values) = list_items(&columns[0])?;
        let (_, counts) = list_items(&columns[1])?;
        let counts = counts.as_primitive_opt::<Int64Type>().ok_or_else(|| Problem::new("a partial without counts"))?;
        let rows: Vec<u32> = places.into_iter().map(|row| rows[row]).collect();
        self.count(&rows, &values, |row| counts.value(row))
    }

    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let pairs = self.pairs.of(groups);
        let lengths = || groups.iter().map(|&group| self.pairs.length(group));
        let counts: Int64Array = pairs.iter().map(|&pair| Some(self.counts[pair as usize])).collect();
        let item = |data_type| field("item", data_type, false);
        Ok(vec![
            list(item(DataType::Float64), lengths(), self.pairs.values(&pairs)?)?,
            list(item(DataType::Int64), lengths(), Arc::new(counts))?,
        ])
    }

    fn result(&self, finish: Finish, groups: &[u32]) -> Result<ArrayRef> {
        let Finish::Quantile(quantile) = finish else { return Err(Problem::new("which quantile is not said")) };
        let pairs = self.pairs.of(groups);
        let mut rest = pairs.as_slice();
        let mut found = Vec::with_capacity(groups.len());
        for &group in groups {
            let (own, others) = rest.split_at(self.pairs.length(group));
            rest = others;
            let counts = || own.iter().map(|&pair| self.counts[pair as usize]);
            let mut left = rank(quantile, counts().sum());
            let reached = counts().position(|count| {
                left -= count;
                left <= 0
            });
            found.push(reached.map(|at| own[at]));
        }
        let values = self.pairs.values(&found.iter().copied().flatten().collect::<Vec<u32>>())?;
        let mut values = values.as_primitive::<Float64Type>().values().iter().copied();
        Ok(Arc::new(found.iter().map(|pair| pair.and_then(|_| values.next())).collect::<Float64Array>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_values_are_near_and_small_whole_numbers_stay() {
        assert!((0..=512).all(|number| rounded(number.into()) == f64::from(number)));
        for value in [0.1, -3.7, 1e300, 123_456.789, f64::MIN_POSITIVE] {
            assert!((rounded(value) - value).abs() <= value.abs() / 512.0, "{value}");
        }
        assert!(rounded(f64::NAN).is_nan());
        assert_eq!(rounded(f64::INFINITY), f64::INFINITY);
    }

    #[test]
    fn a_rank_is_the_least_with_its_share() {
        assert_eq!([0.0, 0.07, 0.075, 0.5, 1.0].map(|quantile| rank(quantile, 100)), [1, 7, 8, 50, 100]);
        assert_eq!(rank(0.5, 1), 1);
    }
}
