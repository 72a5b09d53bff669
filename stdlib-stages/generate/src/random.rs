//! Random numbers without a history: the number for a row is found without those before it.

/// Numbers for one column.
#[derive(Clone, Copy)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of a column, told from others by its name.
    pub(crate) fn new(seed: u64, column: &str) -> Self {
        Self(column.bytes().fold(mix(seed), |state, byte| mix(state ^ u64::from(byte))))
    }

    /// The `draw`th number for a row.
    pub(crate) fn number(self, row: u64, draw: u64) -> u64 {
        mix(mix(self.0 ^ row).wrapping_add(draw))
    }

    /// Below `bound`, which is not 0; evenly but for one part in 2^64.
    pub(crate) fn below(self, row: u64, draw: u64, bound: u64) -> u64 {
        ((u128::from(self.number(row, draw)) * u128::from(bound)) >> 64) as u64
    }

    /// From 0 up to 1.
    pub(crate) fn unit(self, row: u64, draw: u64) -> f64 {
        (self.number(row, draw) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finishing step of SplitMix64.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
