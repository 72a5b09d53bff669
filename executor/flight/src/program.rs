//! The program behind a connection, as whoever started it shows it.

/// A running program that serves stages, lent to one invocation at a time.
pub trait Program: Send {
    /// Lines that it printed since this was asked last.
    fn printed(&mut self) -> Vec<String>;

    /// How it ended, in words; waits a moment for one whose connection broke. None if it still runs.
    fn ended(&mut self) -> Option<Ending>;

    /// The invocation is over. After one that was cut short the program may still be at work on it, and is not `sound`.
    fn give_back(self: Box<Self>, sound: bool);
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// For want of memory.
    Memory,
    /// Otherwise: `exit status 3`, `killed by signal 11 (SIGSEGV)`.
    Other(String),
    /// It may run or not: it can't be reached any more. Says which and why.
    Unreachable(String),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Memory => f.write_str("it was killed for want of memory"),
            Ending::Other(how) | Ending::Unreachable(how) => f.write_str(how),
        }
    }
}
