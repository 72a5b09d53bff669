//! Sums and means.

use flowc_sdk::arrow::array::{
    BinaryBuilder, Decimal128Array, Decimal256Array, Float64Array, Int64Array, PrimitiveArray, UInt8Array, UInt64Array,
};
use flowc_sdk::arrow::datatypes::*;
use flowc_sdk::prelude::*;

use crate::big::{Big, power_of_ten, ratio};
use crate::config::Finish;
use crate::exact::{Exact, Number};
use crate::numbers::{Kind, Numbers, valid_rows};
use crate::state::{Counts, State};

/// Sums by group.
pub(crate) struct Sums {
    kind: Kind,
    counts: Counts,
    totals: Totals,
    odd: Odd,
}

/// What is summed up so far.
enum Totals {
    /// Of whole numbers of 64 bits.
    Whole(Wholes),
    Exact(Vec<Exact>),
}

/// Sums of whole numbers of 64 bits: there can't be enough of them to overflow 128 bits. Most fit 64 bits, and then no more are kept.
#[derive(Default)]
struct Wholes {
    /// What a sum is above a multiple of 2^64.
    low: Vec<i64>,
    /// These multiples; none while all of them are 0.
    high: Vec<i64>,
}

impl Wholes {
    fn grow(&mut self, groups: usize) {
        self.low.resize(groups, 0);
        if !self.high.is_empty() {
            self.high.resize(groups, 0);
        }
    }

    #[inline]
    fn get(&self, group: u32) -> i128 {
        let high = self.high.get(group as usize).copied().unwrap_or_default();
        (i128::from(high) << 64) + i128::from(self.low[group as usize])
    }

    #[inline]
    fn add(&mut self, group: u32, number: i64) {
        match self.low[group as usize].checked_add(number) {
            Some(sum) => self.low[group as usize] = sum,
            None => self.add_wide(group, number.into()),
        }
    }

    #[cold]
    fn add_wide(&mut self, group: u32, number: i128) {
        let sum = self.get(group) + number;
        let low = sum as i64;
        self.low[group as usize] = low;
        self.high.resize(self.low.len(), 0);
        self.high[group as usize] = ((sum - i128::from(low)) >> 64) as i64;
    }

    /// Adds a number that rarely has more than 64 bits.
    #[inline]
    fn add_any(&mut self, group: u32, number: i128) {
        match i64::try_from(number) {
            Ok(number) => self.add(group, number),
            Err(_) => self.add_wide(group, number),
        }
    }
}

/// By group, which of the floats came that are no numbers.
#[derive(Default)]
pub(crate) struct Odd(Vec<u8>);

const NAN: u8 = 1;
const ABOVE: u8 = 2;
const BELOW: u8 = 4;

impl Odd {
    pub(crate) fn grow(&mut self, groups: usize) {
        self.0.resize(groups, 0);
    }

    /// Notes a float that is not finite.
    #[cold]
    pub(crate) fn add(&mut self, group: u32, float: f64) {
        self.0[group as usize] |= match float {
            f64::INFINITY => ABOVE,
            f64::NEG_INFINITY => BELOW,
            _ => NAN,
        };
    }

    pub(crate) fn merge(&mut self, rows: &[u32], column: &ArrayRef) -> Result<()> {
        let flags = column.as_primitive_opt::<UInt8Type>().ok_or_else(|| Problem::new("a partial without flags"))?;
        rows.iter().zip(flags.values()).for_each(|(&group, flags)| self.0[group as usize] |= flags);
        Ok(())
    }

    pub(crate) fn column(&self, groups: &[u32]) -> ArrayRef {
        Arc::new(groups.iter().map(|&group| self.0[group as usize]).collect::<UInt8Array>())
    }

    /// What the sum is, whatever the numbers are.
    pub(crate) fn sum(&self, group: u32) -> Option<f64> {
        match self.0[group as usize] {
            0 => None,
            ABOVE => Some(f64::INFINITY),
            BELOW => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }
}

impl Sums {
    pub(crate) fn new(kind: Kind) -> Self {
        let totals = match kind {
            Kind::Signed | Kind::Unsigned => Totals::Whole(Wholes::default()),
            _ => Totals::Exact(Vec::new()),
        };
        Self { kind, counts: Counts::default(), totals, odd: Odd::default() }
    }

    fn total(&self, group: u32) -> Number {
        match &self.totals {
            Totals::Exact(totals) => totals[group as usize].total(),
            Totals::Whole(totals) => {
                let total = totals.get(group);
                Number::new(total < 0, Big::of(total.unsigned_abs()), 0)
            }
        }
    }

    fn sums(&self, groups: &[u32]) -> Result<ArrayRef> {
        let nulls = self.counts.nulls(groups);
        let whole = |group: &u32| match &self.totals {
            Totals::Whole(totals) => Some(totals.get(*group)),
            Totals::Exact(totals) => totals[*group as usize].total().to_i128(),
        };
        Ok(match self.kind {
            Kind::Float => {
                let sums =
                    groups.iter().map(|&group| self.odd.sum(group).unwrap_or_else(|| self.total(group).to_f64()));
                Arc::new(Float64Array::new(sums.collect(), nulls))
            }
            Kind::Signed => {
                let sums =
                    groups.iter().map(|group| self.fitting(*group, whole(group).and_then(|sum| sum.try_into().ok())));
                Arc::new(Int64Array::new(sums.collect::<Result<_>>()?, nulls))
            }
            Kind::Unsigned => {
                let sums =
                    groups.iter().map(|group| self.fitting(*group, whole(group).and_then(|sum| sum.try_into().ok())));
                Arc::new(UInt64Array::new(sums.collect::<Result<_>>()?, nulls))
            }
            Kind::Decimal(scale) => {
                let most = 10_i128.pow(DECIMAL128_MAX_PRECISION.into());
                let sums = groups.iter().map(|group| self.fitting(*group, whole(group).filter(|sum| sum.abs() < most)));
                let sums = Decimal128Array::new(sums.collect::<Result<_>>()?, nulls);
                Arc::new(sums.with_precision_and_scale(DECIMAL128_MAX_PRECISION, scale)?)
            }
            Kind::WideDecimal(scale) => {
                let most = power_of_ten(DECIMAL256_MAX_PRECISION.into());
                let fits = |sum: &Big| {
                    (sum.bits(), sum.limbs().iter().rev().collect::<Vec<_>>())
                        < (most.bits(), most.limbs().iter().rev().collect())
                };
                let sums = groups.iter().map(|&group| {
                    let total = self.total(group);
                    self.fitting(group, total.whole().filter(fits).map(|sum| huge(total.negative, &sum)))
                });
                let sums = Decimal256Array::new(sums.collect::<Result<_>>()?, nulls);
                Arc::new(sums.with_precision_and_scale(DECIMAL256_MAX_PRECISION, scale)?)
            }
        })
    }

    /// A sum in the result's type, if there is one.
    fn fitting<T>(&self, group: u32, sum: Option<T>) -> Result<T> {
        sum.ok_or_else(|| {
            let about = self.total(group).to_f64() / 10_f64.powi(self.kind.scale().into());
            Problem::new(format!("a sum of about {about:e} is out of the range of {}", self.kind.sum_type()))
                .help("make the column a wider Decimal or Float64 before, by `cast@1`")
        })
    }

    fn means(&self, groups: &[u32]) -> ArrayRef {
        let mean = |&group: &u32| self.odd.sum(group).unwrap_or_else(|| self.mean(group));
        Arc::new(Float64Array::new(groups.iter().map(mean).collect(), self.counts.nulls(groups)))
    }

    /// The sum divided by the number of values, rounded once.
    fn mean(&self, group: u32) -> f64 {
        let count = self.counts.of(group).unsigned_abs();
        let scale = i32::from(self.kind.scale());
        if let Totals::Whole(totals) = &self.totals
            && totals.get(group).unsigned_abs() < 1 << 53
            && (1..1 << 53).contains(&count)
            && scale == 0
        {
            return totals.get(group) as f64 / count as f64;
        }
        let total = self.total(group);
        let times = power_of_ten(scale.min(0).unsigned_abs());
        let by = Big::of(count.max(1).into()).mul(&power_of_ten(scale.max(0).unsigned_abs()));
        total.signed(ratio(&total.mantissa.mul(&times), &by, total.exponent))
    }
}

/// A number as one of 256 bits, into which it fits.
fn huge(negative: bool, magnitude: &Big) -> i256 {
    let mut bytes = [0; 32];
    let limbs = magnitude.limbs().iter().flat_map(|limb| limb.to_le_bytes());
    bytes.iter_mut().zip(limbs).for_each(|(byte, value)| *byte = value);
    let number = i256::from_le_bytes(bytes);
    if negative { number.wrapping_neg() } else { number }
}

/// The magnitude of a number of 256 bits, and whether it is negative.
pub(crate) fn magnitude(number: i256) -> (bool, Big) {
    let negative = number < i256::ZERO;
    let bytes = if negative { number.wrapping_neg() } else { number }.to_le_bytes();
    let limb = |chunk: &[u8]| chunk.iter().rev().fold(0, |limb, &byte| limb << 8 | u32::from(byte));
    (negative, Big::new(bytes.chunks(4).map(limb).collect()))
}

/// A column of numbers without rounding.
pub(crate) fn numbers(numbers: impl Iterator<Item = Number>) -> ArrayRef {
    let (mut column, mut bytes) = (BinaryBuilder::new(), Vec::new());
    for number in numbers {
        bytes.clear();
        number.write(&mut bytes);
        column.append_value(&bytes);
    }
    Arc::new(column.finish())
}

/// The numbers of a column that [`numbers`] made.
pub(crate) fn read_numbers(column: &ArrayRef) -> Result<impl Iterator<Item = Result<Number>>> {
    let column = column.as_binary_opt::<i32>().ok_or_else(|| Problem::new("a partial without its numbers"))?;
    let number = |bytes: Option<&[u8]>| Number::read(bytes.unwrap_or_default());
    Ok(column.iter().map(move |bytes| number(bytes).ok_or_else(|| Problem::new("a partial with a number cut short"))))
}

fn wholes(column: &ArrayRef) -> Result<&PrimitiveArray<Decimal128Type>> {
    column.as_primitive_opt().ok_or_else(|| Problem::new("a partial without sums"))
}

impl State for Sums {
    fn fields(&self) -> Vec<FieldRef> {
        let total = match self.totals {
            Totals::Whole(_) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0),
            Totals::Exact(_) => DataType::Binary,
        };
        vec![field("total", total, false), field("odd", DataType::UInt8, false), field("count", DataType::Int64, false)]
    }

    fn result_type(&self, finish: Finish) -> (DataType, bool) {
        match finish {
            Finish::Mean => (DataType::Float64, true),
            _ => (self.kind.sum_type(), true),
        }
    }

    fn grow(&mut self, groups: usize) {
        match &mut self.totals {
            Totals::Whole(totals) => totals.grow(groups),
            Totals::Exact(totals) => totals.resize(groups, Exact::default()),
        }
        self.odd.grow(groups);
        self.counts.grow(groups);
    }

    fn add(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let column = &columns[0];
        self.counts.add(rows, Some(column));
        let odd = &mut self.odd;
        match (&mut self.totals, Numbers::of(column)?) {
            (Totals::Whole(totals), Numbers::Signed(values)) => {
                valid_rows(column, |row| totals.add(rows[row], values[row]));
            }
            (Totals::Whole(totals), Numbers::Unsigned(values)) => {
                valid_rows(column, |row| totals.add_any(rows[row], values[row].into()));
            }
            (Totals::Exact(totals), Numbers::Float(values)) => valid_rows(column, |row| {
                let (group, value) = (rows[row], values[row]);
                match value.is_finite() {
                    true => totals[group as usize].add_float(value),
                    false => odd.add(group, value),
                }
            }),
            (Totals::Exact(totals), Numbers::Signed(values)) => {
                valid_rows(column, |row| totals[rows[row] as usize].add_whole(values[row].into()));
            }
            (Totals::Exact(totals), Numbers::Wide(values)) => {
                valid_rows(column, |row| totals[rows[row] as usize].add_whole(values[row]));
            }
            (Totals::Exact(totals), Numbers::Huge(values)) => valid_rows(column, |row| {
                let (negative, magnitude) = magnitude(values[row]);
                totals[rows[row] as usize].add(&Number::new(negative, magnitude, 0));
            }),
            _ => return Err(Problem::new("numbers of another type than described")),
        }
        Ok(())
    }

    fn merge(&mut self, rows: &[u32], columns: &[ArrayRef]) -> Result<()> {
        match &mut self.totals {
            Totals::Whole(totals) => {
                let sums = wholes(&columns[0])?.values();
                rows.iter().zip(sums).for_each(|(&group, &sum)| totals.add_any(group, sum));
            }
            Totals::Exact(totals) => {
                for (&group, number) in rows.iter().zip(read_numbers(&columns[0])?) {
                    totals[group as usize].add(&number?);
                }
            }
        }
        self.odd.merge(rows, &columns[1])?;
        self.counts.merge(rows, &columns[2])
    }

    fn partial(&self, groups: &[u32]) -> Result<Vec<ArrayRef>> {
        let totals: ArrayRef = match &self.totals {
            Totals::Whole(totals) => {
                let sums: Decimal128Array = groups.iter().map(|&group| Some(totals.get(group))).collect();
                Arc::new(sums.with_precision_and_scale(DECIMAL128_MAX_PRECISION, 0)?)
            }
            Totals::Exact(_) => numbers(groups.iter().map(|&group| self.total(group))),
        };
        Ok(vec![totals, self.odd.column(groups), self.counts.column(groups)])
    }

    fn result(&self, finish: Finish, groups: &[u32]) -> Result<ArrayRef> {
        match finish {
            Finish::Mean => Ok(self.means(groups)),
            _ => self.sums(groups),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wholes_are_exact_beyond_64_bits_and_back() {
        let mut noise = 5_u64;
        let (mut sums, mut due) = (Wholes::default(), [0_i128; 3]);
        sums.grow(2);
        for round in 0..3000_u32 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = [noise as i64, i64::MAX, i64::MIN, (noise >> 40) as i64][(noise >> 33) as usize % 4];
            let group = round % if round < 1500 { 2 } else { 3 };
            sums.grow(if round < 1500 { 2 } else { 3 });
            match round % 5 {
                0 => {
                    sums.add_any(group, i128::from(number) * 5);
                    due[group as usize] += i128::from(number) * 5;
                }
                _ => {
                    sums.add(group, number);
                    due[group as usize] += i128::from(number);
                }
            }
            assert_eq!(sums.get(group), due[group as usize], "round {round}");
        }
    }
}
