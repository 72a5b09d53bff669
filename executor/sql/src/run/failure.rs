//! Errors of a query at work, as its author is to see them.

use datafusion::common::DataFusionError;
use flowc_planner::quantity::size;
use flowc_platform::{Panic, caught};
use flowc_runner::StageFault;

use crate::memory::{Consumer, Refused};

/// The smallest part of a stage's memory that is worth setting.
const STEP: u64 = 1 << 20;

/// What an error says of a query that may take so much memory. What was refused is known, and how many bytes its inputs have.
pub(super) fn fault(
    error: &DataFusionError,
    memory: Option<u64>,
    refused: Option<Refused>,
    inputs: usize,
) -> StageFault {
    let root = error.find_root();
    let message = match root {
        DataFusionError::ResourcesExhausted(why) => match (memory, refused) {
            (Some(memory), Some(refused)) => too_little(memory, &refused, inputs as u64),
            _ => format!("the query needs more memory than there is: {why}"),
        },
        DataFusionError::ArrowError(error, _) => error.to_string(),
        DataFusionError::Execution(what) => what.clone(),
        other => panic(other).map_or_else(|| other.strip_backtrace(), of_panic),
    };
    let message = message.strip_prefix("Arithmetic overflow: ").unwrap_or(&message).to_owned();
    StageFault::Problem { message, config_path: None }
}

/// What an error says of a query where memory is no matter.
pub(super) fn plain_fault(error: &DataFusionError) -> StageFault {
    fault(error, None, None, 0)
}

/// Asks the engine, which panics where a column would be larger than Arrow's are.
///
/// # Errors
/// What it says, and what it panics with.
pub(super) fn asked<T>(ask: impl FnOnce() -> Result<T, DataFusionError>) -> Result<T, DataFusionError> {
    caught(ask).unwrap_or_else(|panic| Err(DataFusionError::External(Box::new(panic))))
}

/// Whether the engine has panicked.
pub(super) fn is_panic(error: &DataFusionError) -> bool {
    panic(error).is_some()
}

fn panic(error: &DataFusionError) -> Option<&Panic> {
    match error.find_root() {
        DataFusionError::External(error) => error.downcast_ref(),
        _ => None,
    }
}

fn of_panic(panic: &Panic) -> String {
    match panic.message.contains("overflow") {
        true => "values that belong together, of one row or of one batch, have more than 2 GiB, which is the most that a column of Arrow \
                 holds; make them shorter"
            .to_owned(),
        false => format!("the engine has panicked: {panic}"),
    }
}

/// Whether a query needs more memory than it may have.
pub(super) fn is_exhausted(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

fn too_little(memory: u64, refused: &Refused, inputs: u64) -> String {
    let (what, other) = match refused.by {
        Consumer::Join => ("a join", ", or join by columns by which the result is grouped"),
        Consumer::Groups => ("an aggregate", ", or group by fewer values"),
        Consumer::Sort => ("a sort", ""),
        Consumer::Other => ("the query", ""),
    };
    // What joins hold of their inputs has not all come where they fail.
    let is_join = refused.by == Consumer::Join;
    let of_inputs =
        if is_join { format!(", and its inputs have {} in all", size(whole(inputs))) } else { String::new() };
    let least = of_stage(refused.needed as u64);
    let likely = if is_join { least.max(of_stage(inputs)) } else { least };
    format!(
        "{what} needs more memory than the stage's limit of {}: at least {}{of_inputs}; set `memory \"{}\"` in the stage{other}",
        size(memory),
        size(least),
        size(worth_setting(memory, likely))
    )
}

/// Bytes of memory of a stage whose engine needs so many: it has three quarters.
fn of_stage(engine: u64) -> u64 {
    whole(engine.saturating_add(engine / 3))
}

/// In figures that are worth reading.
fn whole(bytes: u64) -> u64 {
    bytes.div_ceil(STEP).saturating_mul(STEP)
}

/// A figure with some room, twice what there is at least.
fn worth_setting(memory: u64, needed: u64) -> u64 {
    let room = needed.saturating_add(needed / 2).max(memory.saturating_mul(2));
    room.checked_next_power_of_two().unwrap_or(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_says_what_is_too_large() {
        let said = |text: &'static str| {
            let error = asked::<()>(|| panic!("{text}")).unwrap_err();
            assert!(is_panic(&error));
            plain_fault(&error).to_string()
        };
        assert!(said("byte array offset overflow").contains("more than 2 GiB"));
        assert!(said("no").contains("the engine has panicked: no, at "));
        assert!(!is_panic(&DataFusionError::Execution("overflow".to_owned())));
    }

    #[test]
    fn too_little_memory_says_what_takes_it_and_what_to_set() {
        const MIB: usize = 1 << 20;
        let said = |by, needed, inputs| too_little(8 << 20, &Refused { by, needed }, inputs);
        assert_eq!(
            said(Consumer::Join, 7 * MIB, 60 << 20),
            "a join needs more memory than the stage's limit of 8MiB: at least 10MiB, and its inputs have 60MiB in all; set \
             `memory \"128MiB\"` in the stage, or join by columns by which the result is grouped"
        );
        assert_eq!(
            said(Consumer::Groups, 9 * MIB, 60 << 20),
            "an aggregate needs more memory than the stage's limit of 8MiB: at least 12MiB; set `memory \"32MiB\"` in the stage, or group \
             by fewer values"
        );
        assert_eq!(
            said(Consumer::Sort, 3 * MIB, 0),
            "a sort needs more memory than the stage's limit of 8MiB: at least 4MiB; set `memory \"16MiB\"` in the stage"
        );
    }
}
