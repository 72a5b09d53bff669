//! The memory of a query: of rows that came and wait, and of the engine. What is refused is known.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::Result;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// Memory that the rows of several tables share.
#[derive(Debug)]
pub(crate) struct RowMemory {
    limit: usize,
    used: AtomicUsize,
}

impl RowMemory {
    /// So many bytes, of which none are in use.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// Whether so many bytes are free.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= self.limit
    }

    /// Takes so many bytes, if they are free.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory of the engine. It knows what it refused last.
#[derive(Debug)]
pub(crate) struct QueryMemory {
    pool: FairSpillPool,
    limit: usize,
    refused: Mutex<Option<Refused>>,
}

/// Memory that the engine was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) by: Consumer,
    /// Bytes that all of the engine held, with those that it was refused.
    pub(crate) needed: usize,
}

/// What takes memory within the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consumer {
    /// One side of a join.
    Join,
    /// The groups of an aggregate.
    Groups,
    /// Rows that are being sorted.
    Sort,
    /// Anything else.
    Other,
}

impl Consumer {
    /// By the name that the engine gives it.
    fn named(name: &str) -> Self {
        let is = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        match () {
            () if is(&["Join", "SMJ"]) => Self::Join,
            () if is(&["Aggregate"]) => Self::Groups,
            () if is(&["Sort", "TopK"]) => Self::Sort,
            () => Self::Other,
        }
    }
}

impl QueryMemory {
    /// So many bytes.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { pool: FairSpillPool::new(limit), limit, refused: Mutex::default() })
    }

    /// What it refused last.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.limit)
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.pool.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.pool.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.pool.try_grow(reservation, additional).inspect_err(|_| {
            let needed = self.reserved().saturating_add(additional);
            let refused = Refused { by: Consumer::named(reservation.consumer().name()), needed };
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
        })
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_share_their_memory() {
        let memory = RowMemory::new(10);
        assert!(memory.take(6) && !memory.take(5) && memory.take(4) && !memory.fits(1));
        memory.give_back(6);
        assert!(memory.fits(6) && !memory.fits(7) && !memory.take(usize::MAX));
    }

    #[test]
    fn what_was_refused_is_known() {
        let memory = QueryMemory::new(100);
        let pool: Arc<dyn MemoryPool> = memory.clone();
        let join = MemoryConsumer::new("HashJoinInput").register(&pool);
        join.try_grow(80).unwrap();
        assert_eq!(memory.refused(), None);
        let groups = MemoryConsumer::new("PartialHashAggregateStream[0]").with_can_spill(true).register(&pool);
        assert!(groups.try_grow(30).is_err());
        assert_eq!(memory.refused(), Some(Refused { by: Consumer::Groups, needed: 110 }));
        assert_eq!(Consumer::named("ExternalSorterMerge[0]"), Consumer::Sort);
        assert_eq!(Consumer::named("SMJStream[0]"), Consumer::Join);
        assert_eq!(Consumer::named("RecursiveQuery"), Consumer::Other);
    }
}
