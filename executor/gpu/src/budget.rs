//! The memory of the device, which blocks of rows and tables share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::device::{DeviceFault, Held};

/// Blocks that are on the device at once: one is filled, one runs, one is read.
const MOST_BLOCKS: usize = 3;

/// Bytes on the device, of blocks and tables together. A block that does not fit beside the tables that it needs has the device to itself.
const MOST_BYTES: u64 = 2 << 30;

/// By what a table is known on the device: the digest of its bytes.
pub(crate) type Digest = [u8; 32];

/// Who has how much of the device's memory.
#[derive(Default)]
pub(crate) struct Budget {
    taken: Mutex<Taken>,
    left: Condvar,
}

#[derive(Default)]
struct Taken {
    blocks: usize,
    /// Bytes of the blocks.
    bytes: u64,
    /// The tables that blocks need which are there.
    needed: Vec<Digest>,
    /// What stays on the device, the one that was used last at the end.
    resident: Vec<Resident>,
}

/// A buffer that stays on the device.
struct Resident {
    digest: Digest,
    /// The number of the device.
    device: u64,
    bytes: u64,
    held: Held,
}

/// A block that is on the device until this is dropped.
pub(crate) struct Admitted<'a> {
    budget: &'a Budget,
    bytes: u64,
    needed: Vec<Digest>,
}

impl Budget {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a block of so many bytes may be on the device, beside the tables that it needs. Others go where that makes room.
    pub(crate) fn admit(&self, bytes: u64, needed: &[Digest]) -> Admitted<'_> {
        let mut taken = self.taken();
        while !taken.has_room(bytes, needed) {
            taken = self.left.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.blocks += 1;
        taken.bytes += bytes;
        taken.needed.extend_from_slice(needed);
        Admitted { budget: self, bytes, needed: needed.to_vec() }
    }

    /// A buffer that stays on a device: the one that is there, or one that `make` makes of so many bytes. Says whether it was made.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn resident(
        &self,
        device: u64,
        digest: &Digest,
        bytes: u64,
        make: impl FnOnce() -> Result<Held, DeviceFault>,
    ) -> Result<(Held, bool), DeviceFault> {
        let mut taken = self.taken();
        taken.resident.retain(|one| one.device == device);
        if let Some(place) = taken.resident.iter().position(|one| one.digest == *digest) {
            let one = taken.resident.remove(place);
            let held = one.held.clone();
            taken.resident.push(one);
            return Ok((held, false));
        }
        while taken.all() + bytes > MOST_BYTES && taken.evict(&[]) {}
        let held = make()?;
        taken.resident.push(Resident { digest: *digest, device, bytes, held: held.clone() });
        Ok((held, true))
    }

    /// Lets go of all tables that nothing uses. Says whether there were some.
    pub(crate) fn evict_all(&self) -> bool {
        let mut taken = self.taken();
        let before = taken.resident.len();
        while taken.evict(&[]) {}
        taken.resident.len() < before
    }
}

impl Taken {
    /// Bytes of all that is there.
    fn all(&self) -> u64 {
        self.bytes + self.resident.iter().map(|one| one.bytes).sum::<u64>()
    }

    /// Whether a block may be there, too. Tables go that it does not need.
    fn has_room(&mut self, bytes: u64, needed: &[Digest]) -> bool {
        if self.blocks >= MOST_BLOCKS {
            return false;
        }
        while self.all().saturating_add(bytes) > MOST_BYTES {
            if !self.evict(needed) {
                return self.blocks == 0;
            }
        }
        true
    }

    /// Lets go of the table that was not used for longest, of those that no block uses and that are not needed.
    fn evict(&mut self, needed: &[Digest]) -> bool {
        let is_needed = |one: &Resident| needed.contains(&one.digest) || self.needed.contains(&one.digest);
        let is_free = |one: &Resident| std::sync::Arc::strong_count(&one.held) == 1 && !is_needed(one);
        let place = self.resident.iter().position(is_free);
        place.map(|place| self.resident.remove(place)).is_some()
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut taken = self.budget.taken();
        taken.blocks -= 1;
        taken.bytes -= self.bytes;
        for digest in &self.needed {
            if let Some(place) = taken.needed.iter().position(|other| other == digest) {
                taken.needed.swap_remove(place);
            }
        }
        self.budget.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn blocks_and_bytes_on_the_device_are_bounded() {
        let budget = Budget::default();
        let (most, now) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let admitted = budget.admit(1, &[]);
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    drop(admitted);
                });
            }
        });
        assert!(most.into_inner() <= MOST_BLOCKS);
        let large = budget.admit(MOST_BYTES * 2, &[]);
        let there = || {
            let taken = budget.taken();
            (taken.blocks, taken.bytes)
        };
        assert_eq!(there(), (1, MOST_BYTES * 2), "a large block is alone");
        drop(large);
        assert_eq!(there(), (0, 0));
    }

    /// Puts a table of so many bytes on the device, unless it is there. Says whether it was made.
    fn table(budget: &Budget, number: u8, bytes: u64) -> (Held, bool) {
        budget.resident(0, &[number; 32], bytes, || Ok(Arc::new(()) as Held)).unwrap()
    }

    #[test]
    fn tables_share_the_memory_with_blocks_and_go_where_nothing_uses_them() {
        let budget = Budget::default();
        let half = MOST_BYTES / 2;
        assert!(table(&budget, 1, half).1 && table(&budget, 2, half).1);
        assert!(!table(&budget, 1, half).1, "it is there");
        let block = budget.admit(half, &[[1; 32]]);
        assert!(!table(&budget, 1, half).1, "the block needs it");
        let (used, is_made) = table(&budget, 2, half);
        assert!(is_made, "it had made room for the block");
        assert!(!budget.taken().has_room(1, &[[1; 32]]), "a block is there, and all tables are needed or used");
        drop(block);
        assert!(budget.evict_all(), "no block needs the first table any more");
        assert!(!table(&budget, 2, half).1, "what is used stays");
        drop(used);
        assert!(table(&budget, 3, MOST_BYTES * 2).1, "one that is too large is there all the same");
        let alone = budget.admit(half, &[[3; 32]]);
        assert_eq!(budget.taken().blocks, 1, "and its blocks run one at a time");
        drop(alone);
        assert!(
            budget.resident(1, &[3; 32], 1, || Err(DeviceFault::Memory)).is_err(),
            "another device has nothing of it"
        );
    }
}
