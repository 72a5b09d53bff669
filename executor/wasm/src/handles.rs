//! The table of handles that a guest holds. What they keep alive counts as the guest's memory.

use crate::budget::Budget;
use crate::fault::Stop;
use crate::held::Held;
use crate::leases::Leases;

/// Host bytes for a handle itself, so that a hoard of empty batches counts too.
pub(crate) const HANDLE: usize = 256;

/// Held batches by number; numbers are used again.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// Which pushed batches they keep alive.
    pub(crate) leases: Leases,
}

#[derive(Debug)]
struct Slot {
    held: Held,
    charged: usize,
}

impl Handles {
    /// Gives a handle.
    pub(crate) fn insert(&mut self, held: Held, budget: &mut Budget) -> Result<u32, Stop> {
        let charged = HANDLE + held.memory();
        budget.charge(charged)?;
        if let Some(lease) = held.lease() {
            self.leases.add(lease);
        }
        let slot = Some(Slot { held, charged });
        if let Some(number) = self.free.pop() {
            self.slots[number as usize] = slot;
            return Ok(number);
        }
        let number = u32::try_from(self.slots.len()).map_err(|_| Stop::Memory)?;
        self.slots.push(slot);
        Ok(number)
    }

    pub(crate) fn get(&self, number: u32) -> Result<&Held, Stop> {
        let slot = self.slots.get(number as usize).and_then(Option::as_ref);
        slot.map(|slot| &slot.held).ok_or_else(unknown)
    }

    /// What a handle stands for, to work on; [`Handles::settle`] charges what it keeps alive since.
    pub(crate) fn get_mut(&mut self, number: u32) -> Result<&mut Held, Stop> {
        let slot = self.slots.get_mut(number as usize).and_then(Option::as_mut);
        slot.map(|slot| &mut slot.held).ok_or_else(unknown)
    }

    /// Charges what a handle keeps alive by now.
    pub(crate) fn settle(&mut self, number: u32, budget: &mut Budget) -> Result<(), Stop> {
        let Some(slot) = self.slots.get_mut(number as usize).and_then(Option::as_mut) else { return Ok(()) };
        let due = HANDLE + slot.held.memory();
        budget.charge(due.saturating_sub(slot.charged))?;
        slot.charged = slot.charged.max(due);
        Ok(())
    }

    /// Takes a handle back.
    pub(crate) fn remove(&mut self, number: u32, budget: &mut Budget) -> Result<Held, Stop> {
        let slot = self.slots.get_mut(number as usize).and_then(Option::take).ok_or_else(unknown)?;
        self.free.push(number);
        budget.release(slot.charged);
        if let Some(lease) = slot.held.lease() {
            self.leases.remove(lease, budget);
        }
        Ok(slot.held)
    }
}

fn unknown() -> Stop {
    Stop::contract("a handle that stands for no batch")
}
