//! What the bytes of a block are, as bits.

/// Bytes in a block: as many as a set of bits has.
pub(crate) const BLOCK: usize = 64;

/// One bit per byte of a block, the first byte's lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    /// ASCII letters and digits.
    pub(crate) plain: u64,
    /// Parts of characters that are not ASCII.
    pub(crate) other: u64,
}

impl Mask {
    #[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
    pub(crate) fn of(block: &[u8; BLOCK]) -> Self {
        let bits = |is: fn(&u8) -> bool| block.iter().rev().fold(0, |bits, byte| bits << 1 | u64::from(is(byte)));
        Self { plain: bits(u8::is_ascii_alphanumeric), other: bits(|byte| !byte.is_ascii()) }
    }

    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    #[inline]
    pub(crate) fn of(block: &[u8; BLOCK]) -> Self {
        let mut mask = Self { plain: 0, other: 0 };
        for (number, bytes) in block.as_chunks::<16>().0.iter().enumerate() {
            let (plain, other) = lanes(bytes);
            mask.plain |= u64::from(plain) << (16 * number);
            mask.other |= u64::from(other) << (16 * number);
        }
        mask
    }
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline]
fn lanes(bytes: &[u8; 16]) -> (u16, u16) {
    use core::arch::wasm32::*;
    let bits = u128::from_le_bytes(*bytes);
    let bytes = u64x2(bits as u64, (bits >> 64) as u64);
    // A range check in one comparison: what lies below the range wraps around to large numbers.
    let within = |bytes, first: u8, count: u8| u8x16_lt(u8x16_sub(bytes, u8x16_splat(first)), u8x16_splat(count));
    let letters = within(v128_or(bytes, u8x16_splat(0x20)), b'a', 26);
    (u8x16_bitmask(v128_or(letters, within(bytes, b'0', 10))), u8x16_bitmask(bytes))
}
