//! The order of a run's jobs.

/// What comes first. Whatever is before [`Rank::Read`] gives memory free that rows take, or closes a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// A task whose rows are in memory, or in a file that is open for it.
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
