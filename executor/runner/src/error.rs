//! What can go wrong in a stage.

use std::fmt;
use std::ops::Range;

use flowc_planner::quantity::{duration, size};

/// A stage failed. The engine adds the segment.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{fault}")]
pub struct StageError {
    /// The stage's name.
    pub stage: String,
    /// What happened.
    pub fault: StageFault,
    /// The rows that it was being given. Whoever gives them adds this.
    pub rows: Option<InputRows>,
}

/// Rows of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRows {
    /// The input port.
    pub port: usize,
    /// Counted from 0 within an invocation.
    pub rows: Range<u64>,
}

impl StageError {
    /// A failure that has nothing to do with particular rows, or not yet.
    pub fn new(stage: impl Into<String>, fault: StageFault) -> Self {
        Self { stage: stage.into(), fault, rows: None }
    }

    /// Says which rows were being given, unless that was said where it is known better.
    #[must_use]
    pub fn at(mut self, port: usize, rows: Range<u64>) -> Self {
        self.rows.get_or_insert(InputRows { port, rows });
        self
    }
}

/// The ways in which a stage can fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageFault {
    /// The stage itself said that it cannot go on: bad data or bad config.
    Problem {
        /// In the stage's words.
        message: String,
        /// JSON pointer into its config, if that is to blame.
        config_path: Option<String>,
    },
    /// The code stopped: a panic, an unreachable instruction, a stack overflow.
    Trap(String),
    /// The process that ran it ended: a crash, or a kill.
    Crashed(String),
    /// What runs it can't be reached, or not any more; in words.
    Unreachable(String),
    /// It broke the contract: read what it did not declare, gave wrong lengths, offsets or text.
    Contract(String),
    /// It took longer than the `timeout` that the pipeline states.
    Timeout {
        /// The limit.
        milliseconds: u64,
    },
    /// It wanted more memory than it may have.
    Memory {
        /// The limit.
        bytes: u64,
    },
    /// The run was stopped.
    Cancelled,
    /// What took its batches failed: the store, or the next stage. The cause is reported in its own place.
    Downstream(String),
}

impl StageFault {
    /// Whether what ran the stage was lost. That says nothing of the stage or its data, so it may be tried again.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Crashed(_) | Self::Unreachable(_))
    }
}

impl fmt::Display for StageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StageFault::Problem { message, .. } => f.write_str(message),
            StageFault::Trap(what) => write!(f, "the stage's code failed: {what}"),
            StageFault::Crashed(how) => write!(f, "the stage's process ended: {how}"),
            StageFault::Contract(what) => write!(f, "the stage broke the contract: {what}"),
            StageFault::Timeout { milliseconds } => write!(
                f,
                "timed out after {}; raise `timeout` in the stage if it needs more time",
                duration(*milliseconds)
            ),
            StageFault::Memory { bytes } => write!(
                f,
                "it needs more memory than its limit of {}; raise `memory` in the stage, or have it hold less",
                size(*bytes)
            ),
            StageFault::Cancelled => f.write_str("the run was stopped"),
            StageFault::Unreachable(what) | StageFault::Downstream(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_say_which_one_to_raise() {
        let timeout = StageFault::Timeout { milliseconds: 5000 }.to_string();
        assert_eq!(timeout, "timed out after 5s; raise `timeout` in the stage if it needs more time");
        let memory = StageFault::Memory { bytes: 64 << 20 }.to_string();
        assert!(memory.contains("limit of 64MiB; raise `memory` in the stage"), "{memory}");
    }
}
