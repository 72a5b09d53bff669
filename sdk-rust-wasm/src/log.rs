//! The stage's log.

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may be wrong.
    Warn,
    /// Good to know.
    Info,
    /// For the stage's author.
    Debug,
    /// Everything.
    Trace,
}

/// Adds a line to the stage's log.
pub fn log(level: Level, message: &str) {
    crate::host::log(level, message);
}
