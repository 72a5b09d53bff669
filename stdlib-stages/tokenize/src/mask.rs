//! Which bytes of a block are ASCII letters and digits, as bits.

/// Bytes in a block: as many as a mask has bits.
pub(crate) const BLOCK: usize = 64;

/// One bit per byte of the block, the first byte's lowest: whether it is an ASCII letter or digit.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
pub(crate) fn words(block: &[u8; BLOCK]) -> u64 {
    block.iter().enumerate().fold(0, |mask, (i, byte)| mask | (u64::from(byte.is_ascii_alphanumeric()) << i))
}

/// One bit per byte of the block, the first byte's lowest: whether it is an ASCII letter or digit.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) fn words(block: &[u8; BLOCK]) -> u64 {
    let lanes = |i: usize| u64::from(lanes(block, i)) << i;
    lanes(0) | lanes(16) | lanes(32) | lanes(48)
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn lanes(block: &[u8; BLOCK], from: usize) -> u16 {
    use core::arch::wasm32::*;
    let half = |i: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&block[from + i..from + i + 8]);
        u64::from_le_bytes(bytes)
    };
    let bytes = u64x2(half(0), half(8));
    // A range check in one comparison: what lies below the range wraps around to large numbers.
    let within = |bytes, first: u8, count: u8| u8x16_lt(u8x16_sub(bytes, u8x16_splat(first)), u8x16_splat(count));
    let letters = within(v128_or(bytes, u8x16_splat(0x20)), b'a', 26);
    u8x16_bitmask(v128_or(letters, within(bytes, b'0', 10)))
}
