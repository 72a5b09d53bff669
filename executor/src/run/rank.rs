//! The order of a run's jobs.

/// What comes first. Whatever is before [`Rank::Read`] gives memory free that rows take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A task whose rows are in memory.
    TaskInMemory,
    Decode,
    End,
    Read,
    /// A task whose rows are in the store.
    EarlyTask,
    Demand,
    Task,
    Assert,
    Sink,
    StartPrograms,
}
