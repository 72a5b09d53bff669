//! The memory of one instance: what its linear memories and tables hold and what it keeps in the host by handle.

use std::cell::Cell;

use wasmtime::ResourceLimiter;

use crate::fault::Stop;

/// Bytes for one instance where the pipeline states no limit.
pub const DEFAULT_MEMORY: u64 = 512 << 20;

/// Host bytes for an element of a table.
const TABLE_ELEMENT: usize = 16;

thread_local! {
    /// Bytes that the instances of this thread may still take together. A chain of instances has one thread.
    static ROOM: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// Makes a call whose instances may take so much memory together, beside the limit of each.
pub fn within<T>(bytes: u64, call: impl FnOnce() -> T) -> T {
    /// Also a call that panics leaves the room as it was.
    struct Before(u64);
    impl Drop for Before {
        fn drop(&mut self) {
            ROOM.set(self.0);
        }
    }
    let _before = Before(ROOM.replace(bytes));
    call()
}

/// Counts bytes against a limit, and against the room that is left for all instances of the thread.
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
        self.limit.saturating_sub(self.used).min(ROOM.get())
    }

    /// Whether these bytes could be had; they are not taken.
    pub(crate) fn afford(&self, bytes: usize) -> Result<(), Stop> {
        match bytes as u64 {
            bytes if bytes > self.limit.saturating_sub(self.used) => Err(Stop::Memory),
            bytes if bytes > ROOM.get() => Err(Stop::Room),
            _ => Ok(()),
        }
    }

    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        self.afford(bytes)?;
        self.used += bytes as u64;
        ROOM.set(ROOM.get() - bytes as u64);
        Ok(())
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        let released = self.used.min(bytes as u64);
        self.used -= released;
        ROOM.set(ROOM.get().saturating_add(released));
    }

    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        self.charge(desired.saturating_sub(current))?;
        Ok(true)
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        ROOM.set(ROOM.get().saturating_add(self.used));
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
    fn instances_of_a_thread_share_its_room() {
        within(150, || {
            let (mut one, mut other) = (Budget::new(Some(100)), Budget::new(Some(100)));
            one.charge(90).unwrap();
            assert!(matches!(other.charge(61), Err(Stop::Room)));
            other.charge(60).unwrap();
            one.release(40);
            other.charge(40).unwrap();
            assert_eq!((one.room(), other.room()), (0, 0));
            drop(one);
            assert_eq!(ROOM.get(), 50);
            assert!(std::panic::catch_unwind(|| within(7, || panic!("no"))).is_err());
            assert_eq!(ROOM.get(), 50);
        });
        assert_eq!(ROOM.get(), u64::MAX);
    }

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
