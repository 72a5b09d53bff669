//! Sums without rounding, of floats and of whole numbers.
//!
//! A sum is a whole number times a power of two. Most sums fit a window of 128 bits that the first value places; what
//! does not fit it goes to limbs as wide as it takes. What comes out is the same in whatever order values came.

use crate::big::{Big, round};

/// A number without rounding: `mantissa * 2^exponent`, the mantissa odd or zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) negative: bool,
    pub(crate) mantissa: Big,
    pub(crate) exponent: i32,
}

impl Number {
    pub(crate) fn new(negative: bool, mantissa: Big, exponent: i32) -> Self {
        if mantissa.is_zero() {
            return Self { negative: false, mantissa, exponent: 0 };
        }
        let zeros = mantissa.trailing_zeros();
        Self { negative, mantissa: mantissa.shr(zeros), exponent: exponent + zeros as i32 }
    }

    /// The nearest float.
    pub(crate) fn to_f64(&self) -> f64 {
        self.signed(round(&self.mantissa, false, self.exponent))
    }

    /// A float with the number's sign.
    pub(crate) fn signed(&self, float: f64) -> f64 {
        if self.negative { -float } else { float }
    }

    /// A whole number, if it is one that fits.
    pub(crate) fn to_i128(&self) -> Option<i128> {
        let magnitude = i128::try_from(self.whole()?.to_u128()?).ok()?;
        Some(if self.negative { -magnitude } else { magnitude })
    }

    /// The number without its sign, if it is a whole one.
    pub(crate) fn whole(&self) -> Option<Big> {
        Some(self.mantissa.shl(u32::try_from(self.exponent).ok()?))
    }

    /// As bytes: a sign, the exponent, and the mantissa, least byte first.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.negative));
        out.extend_from_slice(&(self.exponent as i16).to_le_bytes());
        let bytes = self.mantissa.bits().div_ceil(8) as usize;
        out.extend(self.mantissa.limbs().iter().flat_map(|limb| limb.to_le_bytes()).take(bytes));
    }

    /// What [`Number::write`] wrote.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (&[sign, low, high], bytes) = bytes.split_first_chunk()?;
        let limb = |chunk: &[u8]| chunk.iter().rev().fold(0, |limb, &byte| limb << 8 | u32::from(byte));
        let mantissa = Big::new(bytes.chunks(4).map(limb).collect());
        Some(Self { negative: sign != 0, mantissa, exponent: i16::from_le_bytes([low, high]).into() })
    }
}

/// A number as limbs, the least first.
pub(crate) fn limbs(number: u128) -> [u32; 4] {
    [number as u32, (number >> 32) as u32, (number >> 64) as u32, (number >> 96) as u32]
}

/// A finite float as a sign, a whole number and the exponent of two that it is to be multiplied with.
#[inline]
pub(crate) fn parts(float: f64) -> (bool, u64, i32) {
    let bits = float.to_bits();
    let raw = (bits >> 52) as i32 & 0x7ff;
    (bits >> 63 == 1, bits & ((1 << 52) - 1) | u64::from(raw != 0) << 52, raw.max(1) - 1075)
}

/// How far the window's lowest bit lies below that of the value that places it.
const BELOW: u32 = 40;

/// A sum.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exact {
    /// In units of `2^exponent`.
    window: i128,
    exponent: i32,
    /// What did not fit the window.
    wide: Option<Box<Wide>>,
}

impl Exact {
    /// Adds a float that is a number.
    #[inline]
    pub(crate) fn add_float(&mut self, value: f64) {
        let (negative, magnitude, exponent) = parts(value);
        let sign = -i64::from(negative);
        let mantissa = (magnitude as i64 ^ sign) - sign;
        let shift = exponent.wrapping_sub(self.exponent) as u32;
        if shift < 64
            && let Some(sum) = self.window.checked_add(i128::from(mantissa) << shift)
        {
            self.window = sum;
        } else if mantissa != 0 {
            self.add_slowly(negative, u128::from(magnitude), exponent);
        }
    }

    /// Adds a whole number.
    #[inline]
    pub(crate) fn add_whole(&mut self, value: i128) {
        if self.exponent == 0
            && let Some(sum) = self.window.checked_add(value)
        {
            self.window = sum;
        } else {
            self.add_slowly(value < 0, value.unsigned_abs(), 0);
        }
    }

    #[cold]
    #[inline(never)]
    fn add_slowly(&mut self, negative: bool, mantissa: u128, exponent: i32) {
        if self.window == 0 && self.wide.is_none() && mantissa >> 64 == 0 {
            self.exponent = exponent - BELOW as i32;
            let window = (mantissa << BELOW) as i128;
            self.window = if negative { -window } else { window };
            return;
        }
        let wide = self.wide.get_or_insert_default();
        wide.add(negative, &limbs(mantissa), exponent);
        if (0..64).contains(&(exponent - self.exponent)) {
            // The window is full.
            wide.add(self.window < 0, &limbs(self.window.unsigned_abs()), self.exponent);
            self.window = 0;
        }
    }

    /// Adds any number.
    pub(crate) fn add(&mut self, number: &Number) {
        match number.mantissa.to_u128() {
            Some(0) => {}
            Some(mantissa) if mantissa >> 64 == 0 && self.window == 0 && self.wide.is_none() => {
                self.add_slowly(number.negative, mantissa, number.exponent);
            }
            mantissa => {
                let shift = number.exponent - self.exponent;
                let fits = |mantissa: &u128| (0..mantissa.leading_zeros() as i32).contains(&shift);
                let value = mantissa.filter(fits).map(|mantissa| (mantissa << shift) as i128);
                let value = value.map(|value| if number.negative { -value } else { value });
                match value.and_then(|value| self.window.checked_add(value)) {
                    Some(sum) => self.window = sum,
                    None => {
                        let wide = self.wide.get_or_insert_default();
                        wide.add(number.negative, number.mantissa.limbs(), number.exponent);
                    }
                }
            }
        }
    }

    /// The sum.
    pub(crate) fn total(&self) -> Number {
        let magnitude = Big::of(self.window.unsigned_abs());
        match &self.wide {
            None => Number::new(self.window < 0, magnitude, self.exponent),
            Some(wide) => {
                let mut wide = wide.clone();
                wide.add(self.window < 0, magnitude.limbs(), self.exponent);
                wide.total()
            }
        }
    }
}

/// Where the lowest bit of the square of the least float lies, below one.
const LOWEST: i32 = 2176;

/// How often values may be added before carries have to be passed on.
const MOST: u32 = 1 << 30;

/// A sum of 32 bits a limb, with carries in the upper halves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wide {
    limbs: Vec<i64>,
    /// The place of the first limb, counted from the lowest bit of all.
    first: usize,
    added: u32,
}

impl Wide {
    /// Adds `mantissa * 2^exponent`.
    #[inline]
    pub(crate) fn add(&mut self, negative: bool, mantissa: &[u32], exponent: i32) {
        let place = (exponent + LOWEST) as usize;
        let (limb, shift) = (place / 32, place % 32);
        let limbs = self.reach(limb, mantissa.len() + 1);
        let mut carry = 0;
        for (limb, &part) in limbs.iter_mut().zip(mantissa.iter().chain(std::iter::once(&0))) {
            let wide = u64::from(part) << shift | carry;
            let low = i64::from(wide as u32);
            *limb += if negative { -low } else { low };
            carry = wide >> 32;
        }
        self.added += 1;
        if self.added == MOST {
            self.pass_carries();
        }
    }

    /// So many limbs from a place on; there are some then.
    fn reach(&mut self, place: usize, count: usize) -> &mut [i64] {
        if self.limbs.is_empty() {
            self.first = place;
        }
        if place < self.first {
            self.limbs.splice(0..0, std::iter::repeat_n(0, self.first - place));
            self.first = place;
        }
        let start = place - self.first;
        if self.limbs.len() < start + count {
            self.limbs.resize(start + count, 0);
        }
        &mut self.limbs[start..start + count]
    }

    /// Leaves 32 bits in each limb but the last, which has the sign.
    fn pass_carries(&mut self) {
        self.limbs.push(0);
        let mut carry = 0;
        let last = self.limbs.len() - 1;
        for limb in &mut self.limbs[..last] {
            let value = *limb + carry;
            *limb = i64::from(value as u32);
            carry = value >> 32;
        }
        self.limbs[last] += carry;
        self.added = 0;
    }

    /// The sum.
    pub(crate) fn total(&self) -> Number {
        let mut sum = self.clone();
        sum.pass_carries();
        let negative = sum.limbs.last().is_some_and(|limb| *limb < 0);
        if negative {
            sum.limbs.iter_mut().for_each(|limb| *limb = -*limb);
            sum.pass_carries();
        }
        let exponent = sum.first as i32 * 32 - LOWEST;
        Number::new(negative, Big::new(sum.limbs.iter().map(|limb| *limb as u32).collect()), exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: impl IntoIterator<Item = f64>) -> Number {
        let mut exact = Exact::default();
        values.into_iter().for_each(|value| exact.add_float(value));
        exact.total()
    }

    fn noise(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed ^ (*seed >> 33)
    }

    /// Floats of which each has bits far from those of others.
    fn wild(seed: &mut u64) -> f64 {
        loop {
            let float = f64::from_bits(noise(seed));
            if float.is_finite() {
                return float;
            }
        }
    }

    #[test]
    fn nothing_is_lost_between_great_and_small() {
        assert_eq!(sum([1e308, 1e308, -1e308]).to_f64(), 1e308);
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100]).to_f64(), 2.0);
        assert_eq!(sum([5e-324, 1e308, -1e308]).to_f64(), 5e-324);
        assert_eq!(sum([-0.0, -0.0]).to_f64().to_bits(), 0);
        assert_eq!(sum(std::iter::repeat_n(0.1, 10)).to_f64(), 1.0);
        assert_eq!(sum([f64::MAX, f64::MAX]).to_f64(), f64::INFINITY);
        assert_eq!(sum([f64::MIN, f64::MIN]).to_f64(), f64::NEG_INFINITY);
    }

    #[test]
    fn the_order_of_values_and_of_parts_does_not_matter() {
        let mut seed = 5;
        for round in 0..200 {
            let value = |seed: &mut u64| match round % 3 {
                0 => wild(seed),
                1 => (noise(seed) >> 12) as f64 * 1e-3,
                _ => f64::from_bits(noise(seed) % (1 << 54)),
            };
            let mut values: Vec<f64> = (0..50).map(|_| value(&mut seed)).collect();
            let whole = sum(values.iter().copied());
            values.reverse();
            assert_eq!(sum(values.iter().copied()), whole);
            let mut parts = Exact::default();
            for part in values.chunks(1 + round % 7) {
                let mut bytes = Vec::new();
                sum(part.iter().copied()).write(&mut bytes);
                parts.add(&Number::read(&bytes).unwrap());
            }
            assert_eq!(parts.total(), whole);
            let negated = sum(values.iter().map(|value| -value));
            assert_eq!(negated, Number { negative: !whole.negative, ..whole.clone() });
            values.extend(values.clone().iter().map(|value| -value));
            assert_eq!(sum(values.iter().copied()), Number::new(false, Big::default(), 0));
        }
    }

    #[test]
    fn whole_numbers_outgrow_the_window() {
        let mut exact = Exact::default();
        (0..5).for_each(|_| exact.add_whole(i128::MAX));
        assert_eq!(exact.total().to_i128(), None);
        (0..5).for_each(|_| exact.add_whole(-i128::MAX));
        exact.add_whole(-7);
        assert_eq!(exact.total().to_i128(), Some(-7));
    }
}
