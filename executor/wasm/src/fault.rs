//! How an instance is stopped, and what is said of it.

use flowc_runner::StageFault;
use wasmtime::Trap;

/// Why the host stops a guest from within an import. It travels through wasmtime as the cause of the trap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// The guest broke the contract.
    #[error("{0}")]
    Contract(String),
    /// The guest wanted more memory than it may have.
    #[error("the memory limit is reached")]
    Memory,
    /// The guest and those that run with it wanted more memory than they may have together.
    #[error("the memory of the run is taken")]
    Room,
    /// The outlet failed; its error is kept by the host.
    #[error("the outlet failed")]
    Outlet,
}

impl Stop {
    pub(crate) fn contract(what: impl Into<String>) -> Self {
        Stop::Contract(what.into())
    }
}

/// What a stopped call means. `complaint` is the last line that the guest logged as an error during the call: a panic
/// reports its message that way before it traps.
pub(crate) fn fault(error: &wasmtime::Error, complaint: Option<String>, memory: u64) -> StageFault {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Contract(what)) => return StageFault::Contract(what.clone()),
        Some(Stop::Memory) => return StageFault::Memory { bytes: memory },
        Some(Stop::Room) => {
            let message = "the stages that run together need more memory than the whole run may take; raise `--budget`, or state \
                           `isolate #true` in one of them, so that they run one after the other";
            return StageFault::Problem { message: message.to_owned(), config_path: None };
        }
        Some(Stop::Outlet) => return StageFault::Downstream("what takes the stage's batches failed".to_owned()),
        None => {}
    }
    let reason = reason(error);
    // What one call may give to the host is bounded by the memory limit too; wasmtime's error for it has no public type.
    if reason.contains("fuel allocated for hostcalls") {
        return StageFault::Memory { bytes: memory };
    }
    StageFault::Trap(match complaint {
        Some(complaint) => format!("{complaint} ({reason})"),
        None => reason,
    })
}

fn reason(error: &wasmtime::Error) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => "it aborted".to_owned(),
        Some(Trap::StackOverflow) => "its stack overflowed".to_owned(),
        Some(Trap::MemoryOutOfBounds) => "it reached outside its memory".to_owned(),
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    }
}
