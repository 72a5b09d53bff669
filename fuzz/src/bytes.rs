//! Choices made by bytes: how a target turns them into structure.

/// Bytes to take from. At their end there are zeros.
pub(crate) struct Choices<'a>(pub(crate) &'a [u8]);

impl Choices<'_> {
    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Two bytes.
    pub(crate) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.short()) % bound
    }

    /// Small numbers, and those at the edges of types.
    pub(crate) fn number(&mut self) -> u64 {
        const EDGES: [u64; 8] = [1 << 16, i32::MAX as u64, 1 << 31, 1 << 32, 1 << 40, u64::MAX / 2, 1 << 63, u64::MAX];
        match self.byte() {
            small @ ..=247 => small.into(),
            edge => EDGES[usize::from(edge) - 248],
        }
    }

    /// Whether there is more.
    pub(crate) fn more(&self) -> bool {
        !self.0.is_empty()
    }
}
