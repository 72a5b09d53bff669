//! Whole numbers of any size, as far as exact sums need them, and their quotients as floats, rounded once.

/// A number without a sign: 32 bits a limb, the least first, the last one not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Big(Vec<u32>);

impl Big {
    /// From limbs, the least first.
    pub(crate) fn new(mut limbs: Vec<u32>) -> Self {
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Self(limbs)
    }

    pub(crate) fn of(number: u128) -> Self {
        Self::new((0..4).map(|limb| (number >> (32 * limb)) as u32).collect())
    }

    pub(crate) fn limbs(&self) -> &[u32] {
        &self.0
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// The number, if it fits.
    pub(crate) fn to_u128(&self) -> Option<u128> {
        let value = || self.0.iter().rev().fold(0, |value, &limb| value << 32 | u128::from(limb));
        (self.0.len() <= 4).then(value)
    }

    /// Number of bits up to the highest that is set.
    pub(crate) fn bits(&self) -> u32 {
        self.0.last().map_or(0, |limb| 32 * self.0.len() as u32 - limb.leading_zeros())
    }

    /// Number of zeros below the lowest bit that is set.
    pub(crate) fn trailing_zeros(&self) -> u32 {
        let zeros = self.0.iter().take_while(|limb| **limb == 0).count();
        32 * zeros as u32 + self.0.get(zeros).map_or(0, |limb| limb.trailing_zeros())
    }

    pub(crate) fn shl(&self, bits: u32) -> Self {
        let mut limbs = vec![0; (bits / 32) as usize];
        let mut carry = 0;
        for &limb in &self.0 {
            let wide = u64::from(limb) << (bits % 32) | carry;
            limbs.push(wide as u32);
            carry = wide >> 32;
        }
        limbs.push(carry as u32);
        Self::new(limbs)
    }

    pub(crate) fn shr(&self, bits: u32) -> Self {
        let limbs = self.0.get((bits / 32) as usize..).unwrap_or_default();
        let above = |at: usize| u64::from(limbs.get(at + 1).copied().unwrap_or_default()) << 32;
        Self::new((0..limbs.len()).map(|at| ((above(at) | u64::from(limbs[at])) >> (bits % 32)) as u32).collect())
    }

    pub(crate) fn mul(&self, other: &Self) -> Self {
        let mut limbs = vec![0_u32; self.0.len() + other.0.len()];
        for (at, &a) in self.0.iter().enumerate() {
            let mut carry = 0;
            for (limb, &b) in limbs[at..].iter_mut().zip(other.0.iter().chain(std::iter::once(&0))) {
                let wide = u64::from(a) * u64::from(b) + u64::from(*limb) + carry;
                *limb = wide as u32;
                carry = wide >> 32;
            }
        }
        Self::new(limbs)
    }

    /// This number less one that is not greater.
    pub(crate) fn sub(&self, other: &Self) -> Self {
        let mut borrow = 0;
        let less = |(at, &limb): (usize, &u32)| {
            let wide = i64::from(limb) - i64::from(other.0.get(at).copied().unwrap_or_default()) + borrow;
            borrow = wide >> 32;
            wide as u32
        };
        Self::new(self.0.iter().enumerate().map(less).collect())
    }

    /// The quotient by a number that is not zero, and whether something is left.
    fn div(&self, by: &Self) -> (Self, bool) {
        match by.0.as_slice() {
            [by] => self.div_limb(*by),
            _ if self.bits() < by.bits() => (Self::default(), !self.is_zero()),
            _ => self.div_long(by),
        }
    }

    fn div_limb(&self, by: u32) -> (Self, bool) {
        let (mut limbs, mut left) = (vec![0; self.0.len()], 0);
        for (quotient, &limb) in limbs.iter_mut().zip(&self.0).rev() {
            let wide = left << 32 | u64::from(limb);
            *quotient = (wide / u64::from(by)) as u32;
            left = wide % u64::from(by);
        }
        (Self::new(limbs), left != 0)
    }

    /// Knuth's algorithm D: a limb of the quotient is guessed from the highest ones, and is too great by two at most.
    fn div_long(&self, by: &Self) -> (Self, bool) {
        let shift = by.0[by.0.len() - 1].leading_zeros();
        let by = by.shl(shift).0;
        let mut left = self.shl(shift).0;
        left.resize(self.0.len() + 1, 0);
        let (high, next) = (u64::from(by[by.len() - 1]), u64::from(by[by.len() - 2]));
        let mut limbs = vec![0; left.len() - by.len()];
        for at in (0..limbs.len()).rev() {
            let top = u64::from(left[at + by.len()]) << 32 | u64::from(left[at + by.len() - 1]);
            let (mut guess, mut rest) = (top / high, top % high);
            while guess >> 32 != 0 || guess * next > (rest << 32 | u64::from(left[at + by.len() - 2])) {
                guess -= 1;
                rest += high;
                if rest >> 32 != 0 {
                    break;
                }
            }
            if !subtract(&mut left[at..=at + by.len()], &by, guess) {
                guess -= 1;
                add(&mut left[at..=at + by.len()], &by);
            }
            limbs[at] = guess as u32;
        }
        (Self::new(limbs), left.iter().any(|limb| *limb != 0))
    }
}

/// Subtracts a multiple; false if the result is below zero.
fn subtract(from: &mut [u32], number: &[u32], times: u64) -> bool {
    let (mut carry, mut borrow) = (0_u64, 0_i64);
    for (limb, &other) in from.iter_mut().zip(number.iter().chain(std::iter::once(&0))) {
        let product = times * u64::from(other) + carry;
        carry = product >> 32;
        let wide = i64::from(*limb) - i64::from(product as u32) + borrow;
        *limb = wide as u32;
        borrow = wide >> 32;
    }
    borrow == 0
}

fn add(to: &mut [u32], number: &[u32]) {
    let mut carry = 0;
    for (limb, &other) in to.iter_mut().zip(number.iter().chain(std::iter::once(&0))) {
        let wide = u64::from(*limb) + u64::from(other) + carry;
        *limb = wide as u32;
        carry = wide >> 32;
    }
}

/// `number / by * 2^exponent` as the nearest float, ties to even.
pub(crate) fn ratio(number: &Big, by: &Big, exponent: i32) -> f64 {
    if number.is_zero() {
        return 0.0;
    }
    // Bits enough for a float and for what decides how it is rounded.
    let shift = (66 + by.bits()).saturating_sub(number.bits());
    let (quotient, is_more) = number.shl(shift).div(by);
    round(&quotient, is_more, exponent - shift as i32)
}

/// `number * 2^exponent`, and somewhat more if `is_more`, as the nearest float, ties to even. The number has more bits than a
/// float if something is to be added.
pub(crate) fn round(number: &Big, is_more: bool, exponent: i32) -> f64 {
    if number.is_zero() {
        return 0.0;
    }
    // Of the 53 bits of a float, those below the least positive float are lost.
    let last = (number.bits() as i32 - 53).max(-1074 - exponent);
    if last <= 0 {
        let mantissa = number.to_u128().unwrap_or_default() as u64;
        return scaled(mantissa, exponent);
    }
    let last = last as u32;
    let kept = number.shr(last).to_u128().unwrap_or_default() as u64;
    let half = number.shr(last - 1).limbs().first().is_some_and(|limb| limb & 1 == 1);
    let is_above_half = is_more || number.trailing_zeros() < last - 1;
    let mantissa = kept + u64::from(half && (is_above_half || kept & 1 == 1));
    scaled(mantissa, exponent + last as i32)
}

/// A number of at most 53 bits, or 2^53, times a power of two that leaves no bit below the least float.
fn scaled(mantissa: u64, exponent: i32) -> f64 {
    let power = |exponent: i32| f64::from_bits(((exponent + 1023) as u64) << 52);
    let number = mantissa as f64;
    match exponent {
        1024.. => f64::INFINITY,
        ..-1022 => number * power(exponent + 1074) * f64::from_bits(1),
        _ if exponent > 971 => number * power(971) * power(exponent - 971),
        _ => number * power(exponent),
    }
}

/// Ten to this power.
pub(crate) fn power_of_ten(exponent: u32) -> Big {
    (0..exponent).fold(Big::of(1), |power, _| power.mul(&Big::of(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed ^ (*seed >> 33)
    }

    fn random(seed: &mut u64, limbs: usize) -> Big {
        let limb = |seed: &mut u64| match noise(seed) % 4 {
            0 => 0,
            1 => u32::MAX,
            _ => noise(seed) as u32,
        };
        Big::new((0..limbs).map(|_| limb(seed)).collect())
    }

    #[test]
    fn products_differences_and_quotients_agree_with_each_other() {
        let mut seed = 1;
        for round in 0..20_000 {
            let (a, b) = (random(&mut seed, round % 9), random(&mut seed, 1 + round % 7));
            let product = a.mul(&b);
            let rest = b.sub(&Big::of(u128::from(!b.is_zero())));
            if !a.is_zero() && !b.is_zero() {
                assert_eq!(product.div(&b), (a.clone(), false));
                // The greatest number with this quotient.
                let more = Big::of(2).mul(&product).sub(&product.sub(&rest));
                assert_eq!(more.div(&b), (a.clone(), !rest.is_zero()));
            }
            let bits = (noise(&mut seed) % 100) as u32;
            assert_eq!(a.shl(bits).shr(bits), a);
            assert!(a.is_zero() || a.shl(bits).trailing_zeros() == a.trailing_zeros() + bits);
        }
    }

    #[test]
    fn quotients_are_rounded_as_the_processor_does() {
        let mut seed = 2;
        for _ in 0..20_000 {
            let (a, b) = (noise(&mut seed) >> 11, (noise(&mut seed) >> 11) + 1);
            assert_eq!(ratio(&Big::of(a.into()), &Big::of(b.into()), 0), a as f64 / b as f64);
            let wide = u128::from(noise(&mut seed)) << 64 | u128::from(noise(&mut seed));
            let wide = wide >> (noise(&mut seed) % 128);
            assert_eq!(round(&Big::of(wide), false, 0), wide as f64);
            let less = 2.0_f64.powi(-540);
            assert_eq!(round(&Big::of(a.into()), false, -1080), a as f64 * less * less);
        }
    }

    #[test]
    fn the_ends_of_the_range_of_floats_are_met() {
        let float = |number: u128, exponent| round(&Big::of(number), false, exponent);
        assert_eq!(float(1, -1074), 5e-324);
        assert_eq!(float(1, -1075), 0.0, "half of it is a tie, to even");
        assert_eq!(float(3, -1075), 1e-323);
        assert_eq!(float((1 << 53) - 1, 971), f64::MAX);
        assert_eq!(float((1 << 54) - 1, 970), f64::INFINITY);
        assert_eq!(float((1 << 55) - 3, 969), f64::MAX);
        assert_eq!(float(1, 1023), 2.0_f64.powi(1023));
        assert_eq!(float(1, 1024), f64::INFINITY);
    }
}
