//! Exit codes: what a script can tell from a run. They are part of the interface and do not change.

use flowc_executor::Error;

/// A number and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// What the shell sees.
    pub(crate) number: u8,
    /// For the reference.
    pub(crate) meaning: &'static str,
}

const fn exit(number: u8, meaning: &'static str) -> Exit {
    Exit { number, meaning }
}

/// All went well.
pub(crate) const OK: Exit = exit(0, "all went well");
/// The run itself failed.
pub(crate) const FAILED: Exit = exit(1, "a stage, a source, a sink or a check failed");
/// The user has something to put right before anything can run.
pub(crate) const MISTAKE: Exit = exit(2, "a mistake in the command line, the settings or the pipeline");
/// The store cannot be used or is damaged.
pub(crate) const STORE: Exit = exit(3, "the store cannot be used, or is damaged");
/// `--locked` found a difference, or the lock cannot be read.
pub(crate) const LOCKED: Exit =
    exit(4, "the pipeline does not fit `flow.lock` under `--locked`, or the lock cannot be read");
/// A bug.
pub(crate) const INTERNAL: Exit = exit(70, "a bug in flowc");
/// Ctrl-C or a termination signal.
pub(crate) const STOPPED: Exit = exit(130, "stopped by Ctrl-C or a signal");

/// Every code, for the reference.
#[cfg(test)]
pub(crate) const ALL: [Exit; 7] = [OK, FAILED, MISTAKE, STORE, LOCKED, INTERNAL, STOPPED];

/// The code for one failure of the engine.
pub(crate) fn of_error(error: &Error) -> Exit {
    match error {
        Error::Pipeline(_) | Error::Secrets(_) | Error::Request(_) => MISTAKE,
        Error::Locked { .. } => LOCKED,
        Error::Source { .. } | Error::Stage { .. } | Error::Sink { .. } | Error::File { .. } => FAILED,
        Error::Store(_) => STORE,
        Error::Cancelled => STOPPED,
    }
}

/// The code for several failures: that of the stop if there was one, else of the first.
pub(crate) fn of_errors(errors: &[Error]) -> Exit {
    let codes: Vec<Exit> = errors.iter().map(of_error).collect();
    if codes.contains(&STOPPED) { STOPPED } else { codes.first().copied().unwrap_or(FAILED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_outranks_what_failed_because_of_it() {
        let stage = Error::Stage { stage: "a".into(), place: Box::default(), message: "cancelled".into() };
        assert_eq!(of_errors(&[stage, Error::Cancelled]), STOPPED);
    }

    #[test]
    fn numbers_are_told_apart() {
        let mut numbers: Vec<u8> = ALL.iter().map(|exit| exit.number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), ALL.len());
    }
}
