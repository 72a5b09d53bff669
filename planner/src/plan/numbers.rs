//! What a pipeline claims of the numbers of a kernel, and how near two of them have to be.

use serde::{Deserialize, Serialize};

/// In [`super::Stage::runner`]: whether all devices give the same numbers, where a stage runs on one. Else it begins with `device`, and says why.
pub const NUMBERS: &str = "numbers";

/// Whether what is said of numbers under [`NUMBERS`] is that the device may decide them.
pub(crate) fn is_of_device(numbers: &str) -> bool {
    numbers.starts_with("device")
}

/// In [`super::Stage::runner`]: the device that a stage whose numbers depend on it runs on. It is added on the machine that runs the plan.
pub const DEVICE: &str = "device";

/// What a pipeline claims of the numbers of a stage that may differ between devices. Results then have no device in their keys: whichever
/// made them, they are taken everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// All devices give the same bits.
    Exact,
    /// Devices give numbers that are near to each other.
    Portable(Tolerance),
}

/// How far a number may be from another one that stands for the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tolerance {
    /// So far in any case.
    pub abs: f64,
    /// Or so far, as a part of the larger one.
    pub rel: f64,
}

impl Tolerance {
    /// Nothing but the same number.
    pub const NONE: Self = Self { abs: 0.0, rel: 0.0 };

    /// Whether two numbers are near enough. What is no number is near to itself alone, and so is what is infinite.
    pub fn allows(&self, one: f64, other: f64) -> bool {
        if one.is_nan() || other.is_nan() {
            return one.is_nan() && other.is_nan();
        }
        one == other
            || (one - other).abs() <= self.abs.max(self.rel * one.abs().max(other.abs()))
                && one.is_finite()
                && other.is_finite()
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Claim::Exact => f.write_str("exact, as the pipeline claims"),
            Claim::Portable(Tolerance { abs, rel }) => write!(f, "portable abs={abs:?} rel={rel:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_near_by_their_difference_or_by_a_part_of_them() {
        let near = Tolerance { abs: 0.5, rel: 0.01 };
        let cases = [
            (1.0, 1.5, true),
            (1.0, 1.6, false),
            (1000.0, 1010.0, true),
            (1000.0, 1011.0, false),
            (-1.0, 1.0, false),
            (f64::NAN, f64::NAN, true),
            (f64::NAN, 0.0, false),
            (f64::INFINITY, f64::INFINITY, true),
            (f64::INFINITY, f64::MAX, false),
        ];
        for (one, other, expected) in cases {
            assert_eq!(near.allows(one, other), expected, "{one} {other}");
            assert_eq!(near.allows(other, one), expected, "{other} {one}");
        }
        assert!(Tolerance::NONE.allows(0.0, -0.0) && !Tolerance::NONE.allows(1.0, 1.0 + f64::EPSILON));
    }
}
