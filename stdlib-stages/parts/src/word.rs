//! Numbers that hold the packed values of a row.

use std::hash::Hash;

/// A number that values are packed into, most significant first.
pub(crate) trait Word: Copy + Ord + Default + Hash {
    /// This number with a value of so many bits behind it.
    fn push(self, bits: u32, value: u128) -> Self;

    /// The value of so many bits that has so many bits behind it.
    fn get(self, bits: u32, behind: u32) -> u128;

    /// A hash of 64 bits.
    fn hash64(self) -> u64;

    /// How far this number is above another one, or the most there is; as much for one that is below.
    fn above(self, other: Self) -> usize;

    /// The number that is so far below this one, or 0.
    fn below(self, by: usize) -> Self;
}

const PRIME: u64 = 0x9E37_79B9_7F4A_7C15;
const OTHER: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// Spreads the bits of a number.
#[inline]
pub(crate) fn mix(number: u64) -> u64 {
    let hash = (number ^ (number >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ (hash >> 29)
}

impl Word for u64 {
    #[inline]
    fn push(self, bits: u32, value: u128) -> Self {
        if bits == 64 { value as u64 } else { self << bits | value as u64 }
    }

    #[inline]
    fn get(self, bits: u32, behind: u32) -> u128 {
        u128::from(self).get(bits, behind)
    }

    #[inline]
    fn hash64(self) -> u64 {
        mix(self.wrapping_mul(PRIME))
    }

    #[inline]
    fn above(self, other: Self) -> usize {
        usize::try_from(self.wrapping_sub(other)).unwrap_or(usize::MAX)
    }

    fn below(self, by: usize) -> Self {
        self.saturating_sub(by as u64)
    }
}

impl Word for u128 {
    #[inline]
    fn push(self, bits: u32, value: u128) -> Self {
        if bits == 128 { value } else { self << bits | value }
    }

    #[inline]
    fn get(self, bits: u32, behind: u32) -> u128 {
        match bits {
            0 => 0,
            bits => (self >> behind) & (u128::MAX >> (128 - bits)),
        }
    }

    #[inline]
    fn hash64(self) -> u64 {
        mix((self as u64).wrapping_mul(PRIME) ^ ((self >> 64) as u64).wrapping_mul(OTHER).rotate_left(32))
    }

    #[inline]
    fn above(self, other: Self) -> usize {
        usize::try_from(self.wrapping_sub(other)).unwrap_or(usize::MAX)
    }

    fn below(self, by: usize) -> Self {
        self.saturating_sub(by as u128)
    }
}

/// A hash of 64 bits of some bytes.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let folded = bytes.chunks(8).fold(bytes.len() as u64, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (hash.rotate_left(29) ^ u64::from_le_bytes(word)).wrapping_mul(PRIME)
    });
    mix(folded)
}
