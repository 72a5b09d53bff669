//! The memory of one instance: what its linear memories and tables hold and what it keeps in the host by handle.

use wasmtime::ResourceLimiter;

use crate::fault::Stop;

/// Bytes for one instance where the pipeline states no limit.
pub const DEFAULT_MEMORY: u64 = 512 << 20;

/// Host bytes for an element of a table.
const TABLE_ELEMENT: usize = 16;

/// Counts bytes against a limit.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: u64,
}

impl Budget {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self { limit: limit.unwrap_or(DEFAULT_MEMORY), used: 0 }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes that are left.
    pub(crate) fn room(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }

    /// Whether these bytes could be had; they are not taken.
    pub(crate) fn afford(&self, bytes: usize) -> Result<(), Stop> {
        if bytes as u64 > self.room() { Err(Stop::Memory) } else { Ok(()) }
    }

    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        self.afford(bytes)?;
        self.used += bytes as u64;
        Ok(())
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes as u64);
    }

    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        self.charge(desired.saturating_sub(current))?;
        Ok(true)
    }
}

/// Growth beyond the limit traps at once: a guest that goes on without the memory would only fail less clearly.
impl ResourceLimiter for Budget {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(current, desired)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(current.saturating_mul(TABLE_ELEMENT), desired.saturating_mul(TABLE_ELEMENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_released_can_be_charged_again_and_the_limit_holds() {
        let mut budget = Budget::new(Some(100));
        budget.charge(60).unwrap();
        assert!(matches!(budget.charge(41), Err(Stop::Memory)));
        budget.charge(40).unwrap();
        budget.release(60);
        assert_eq!(budget.room(), 60);
        assert!(budget.memory_growing(0, 61, None).is_err());
        assert!(budget.memory_growing(0, 60, None).unwrap());
    }
}
