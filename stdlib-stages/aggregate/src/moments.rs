//! Variances and standard deviations, from exact sums of values and of their squares.

use flowc_sdk::arrow::array::Float64Array;
use flowc_sdk::arrow::buffer::NullBuffer;
use flowc_sdk::prelude::*;

use crate::big::{Big, power_of_ten, ratio};
use crate::config::Finish;
use crate::exact::{Exact, Number, Wide, limbs, parts};
use crate::numbers::{Kind, Numbers, valid_rows};
use crate::state::{Counts, State};
use crate::sum::{Odd, magnitude, numbers, read_numbers};

/// Sums of values and of squares by group.
pub(crate) struct Moments {
    kind: Kind,
    counts: Counts,
    odd: Odd,
    sums: Vec<Exact>,
    squares: Vec<Wide>,
}

impl Moments {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, counts: Counts::default(), odd: Odd::default(), sums: Vec::new(), squares: Vec::new() }
    }

    fn add_whole(&mut self, group: u32, value: i128) {
        self.sums[group as usize].add_whole(value);
        let magnitude = value.unsigned_abs();
        let squares = &mut self.squares[group as usize];
        match magnitude >> 64 {
            0 => squares.add(false, &limbs(magnitude * magnitude), 0),
            _ => squares.add(false, Big::of(magnitude).mul(&Big::of(magnitude)).limbs(), 0),
        }
    }

    /// `(n * squares - sum^2) / (n * (n - 1))` as a number, what it is divided by, and the power of two that it is times. None where
    /// there are values that are no numbers.
    fn exact_variance(&self, group: u32) -> Option<(Big, Big, i32)> {
        if self.odd.sum(group).is_some() {
            return None;
        }
        let count = Big::of(self.counts.of(group).unsigned_abs().into());
        let sum = self.sums[group as usize].total();
        let squares = self.squares[group as usize].total();
        let (minuend, subtrahend) = (squares.mantissa.mul(&count), sum.mantissa.mul(&sum.mantissa));
        let (high, low) = (squares.exponent, 2 * sum.exponent);
        let exponent = if subtrahend.is_zero() { high } else { high.min(low) };
        let aligned = |number: &Big, from: i32| number.shl(from.saturating_sub(exponent).max(0).unsigned_abs());
        let difference = aligned(&minuend, high).sub(&aligned(&subtrahend, low));
        let scale = 2 * i32::from(self.kind.scale());
        let times = power_of_ten(scale.min(0).unsigned_abs());
        let by = count.mul(&count.sub(&Big::of(1))).mul(&power_of_ten(scale.max(0).unsigned_abs()));
        Some((difference.mul(&times), by, exponent))
    }

    /// The variance, rounded once.
    fn variance(&self, group: u32) -> f64 {
        self.exact_variance(group).map_or(f64::NAN, |(number, by, exponent)| ratio(&number, &by, exponent))
    }

    /// The root of the variance, which may be a float where the variance is beyond all floats: it is taken near one.
    fn deviation(&self, group: u32) -> f64 {
        let Some((number, by, exponent)) = self.exact_variance(group) else { return f64::NAN };
        let half = (number.bits() as i32 - by.bits() as i32 + exponent) / 2;
        let root = ratio(&number, &by, exponent - 2 * half).sqrt();
        root * 2_f64.powi(half / 2) * 2_f64.powi(half - half / 2)
    }
}

impl State for Moments {
    fn fields(&self) -> Vec<FieldRef> {
        vec![
            field("sum", DataType::Binary, false),
            field("squares", DataType::Binary, false),
            field("odd", DataType::UInt8, false),
            field("count", DataType::Int64, false),
        ]
    }

    fn result_type(&self, _: Finish) -> (DataType, bool) {
        (DataType::Float64, true)
    }

    fn grow(&mut self, groups: usize) {
        self.odd.grow(groups);
        self.counts.grow(groups);
        self.sums.resize(groups, Exact::default());
        self.squares.resize(groups, Wide::default());
    }

    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let column = &columns[0];
        self.counts.add(rows, Some(column));
        match Numbers::of(column)? {
            Numbers::Signed(values) => valid_rows(column, |row| self.add_whole(rows[row], values[row].into())),
            Numbers::Unsigned(values) => valid_rows(column, |row| self.add_whole(rows[row], values[row].into())),
            Numbers::Wide(values) => valid_rows(column, |row| self.add_whole(rows[row], values[row])),
            Numbers::Float(values) => valid_rows(column, |row| {
                let (group, value) = (rows[row], values[row]);
                if value.is_finite() {
                    self.sums[group as usize].add_float(value);
                    let (_, mantissa, exponent) = parts(value);
                    let square = u128::from(mantissa) * u128::from(mantissa);
                    self.squares[group as usize].add(false, &limbs(square), 2 * exponent);
                } else {
                    self.odd.add(group, value);
                }
            }),
            Numbers::Huge(values) => valid_rows(column, |row| {
                let group = rows[row] as usize;
                let (negative, magnitude) = magnitude(values[row]);
                self.squares[group].add(false, magnitude.mul(&magnitude).limbs(), 0);
                self.sums[group].add(&Number::new(negative, magnitude, 0));
            }),
        }
        Ok(())
    }

    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        for (&group, number) in rows.iter().zip(read_numbers(&columns[0])?) {
            self.sums[group as usize].add(&number?);
        }
        for (&group, number) in rows.iter().zip(read_numbers(&columns[1])?) {
            let number = number?;
            self.squares[group as usize].add(number.negative, number.mantissa.limbs(), number.exponent);
        }
        self.odd.merge(rows, &columns[2])?;
        self.counts.merge(rows, &columns[3])
    }

    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let sums = numbers(groups.iter().map(|&group| self.sums[group as usize].total()));
        let squares = numbers(groups.iter().map(|&group| self.squares[group as usize].total()));
        Ok(vec![sums, squares, self.odd.column(groups), self.counts.column(groups)])
    }

    /// One value alone has no variance.
    fn result(&self, finish: Finish, groups: &[u32]) -> Result<ArrayRef> {
        let nulls: NullBuffer = groups.iter().map(|&group| self.counts.of(group) > 1).collect();
        let value = |(&group, valid): (&u32, bool)| match finish {
            _ if !valid => 0.0,
            Finish::Stddev => self.deviation(group),
            _ => self.variance(group),
        };
        let values = groups.iter().zip(nulls.iter()).map(value).collect();
        Ok(Arc::new(Float64Array::new(values, Some(nulls).filter(|nulls| nulls.null_count() > 0))))
    }
}
