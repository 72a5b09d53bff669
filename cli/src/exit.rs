//! Exit codes: what a script can tell from a run. They are part of the interface and do not change.

use flowc_executor::{Error, ErrorClass};

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
/// The run itself failed, or the machine refused something.
pub(crate) const FAILED: Exit = exit(
    1,
    "a stage, a source, a sink or a check failed, or the machine lacks or refuses something: a program, a file, a thread",
);
/// The user has something to put right before anything can run.
pub(crate) const MISTAKE: Exit = exit(2, "a mistake in the command line, the settings or the pipeline");
/// The store cannot be used or is damaged.
pub(crate) const STORE: Exit = exit(3, "the store cannot be used, or is damaged");
/// `--locked` found a difference, or the lock cannot be read.
pub(crate) const LOCKED: Exit =
    exit(4, "the pipeline does not fit `flow.lock` under `--locked`, or the lock cannot be read");
/// `--require-isolation` found less.
pub(crate) const ISOLATION: Exit =
    exit(5, "this machine can't isolate stages in full, which `--require-isolation` asks for");
/// A bug.
pub(crate) const INTERNAL: Exit = exit(70, "a bug in flowc");
/// Ctrl-C or a termination signal.
pub(crate) const STOPPED: Exit = exit(130, "stopped by Ctrl-C or a signal");

/// Every code, for the reference.
#[cfg(test)]
pub(crate) const ALL: [Exit; 8] = [OK, FAILED, MISTAKE, STORE, LOCKED, ISOLATION, INTERNAL, STOPPED];

/// The code for a class of failures.
pub(crate) fn of_class(class: ErrorClass) -> Exit {
    match class {
        ErrorClass::User => MISTAKE,
        ErrorClass::Lock => LOCKED,
        ErrorClass::Isolation => ISOLATION,
        ErrorClass::Run | ErrorClass::Environment => FAILED,
        ErrorClass::Store => STORE,
        ErrorClass::Internal => INTERNAL,
        ErrorClass::Stopped => STOPPED,
    }
}

/// The code for several failures: that of the stop if there was one, of a bug if there was one, else of the first.
pub(crate) fn of_errors(errors: &[Error]) -> Exit {
    let codes: Vec<Exit> = errors.iter().map(|error| of_class(error.class())).collect();
    let outranking = [STOPPED, INTERNAL].into_iter().find(|exit| codes.contains(exit));
    outranking.or_else(|| codes.first().copied()).unwrap_or(FAILED)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use flowc_store::StoreError;

    use super::*;

    #[test]
    fn a_stop_outranks_what_failed_because_of_it() {
        let stage = Error::Stage { stage: "a".into(), place: Box::default(), message: "cancelled".into() };
        assert_eq!(of_errors(&[stage, Error::Cancelled]), STOPPED);
    }

    /// Every variant, with its class and its exit code. A variant that is added must be listed: the match has no default.
    #[test]
    fn every_error_has_its_class_and_code() {
        fn expected(error: &Error) -> (ErrorClass, u8) {
            match error {
                Error::Pipeline(_) | Error::Secrets(_) | Error::Request(_) => (ErrorClass::User, 2),
                Error::Locked { .. } => (ErrorClass::Lock, 4),
                Error::Isolation { .. } => (ErrorClass::Isolation, 5),
                Error::Source { .. } | Error::Stage { .. } | Error::Assert { .. } => (ErrorClass::Run, 1),
                Error::Sink { .. } | Error::Columns { .. } => (ErrorClass::Run, 1),
                Error::Machine(_) | Error::File { .. } | Error::System { .. } => (ErrorClass::Environment, 1),
                Error::Changed(_) | Error::Lost(_) => (ErrorClass::Environment, 1),
                Error::Store(store) => match store {
                    StoreError::Io { .. }
                    | StoreError::DiskFull(_)
                    | StoreError::NoRoomToCollect(_)
                    | StoreError::ReadOnly(_)
                    | StoreError::Version { .. }
                    | StoreError::NotAStore(_)
                    | StoreError::Damaged { .. }
                    | StoreError::Index { .. } => (ErrorClass::Store, 3),
                    StoreError::Columns(error) if error.is_of_data() => (ErrorClass::Run, 1),
                    StoreError::Columns(_) | StoreError::Rows { .. } | StoreError::Encode(_) => {
                        (ErrorClass::Internal, 70)
                    }
                },
                Error::Internal { .. } => (ErrorClass::Internal, 70),
                Error::Cancelled => (ErrorClass::Stopped, 130),
            }
        }
        let refused = || std::io::Error::other("refused");
        let text = String::new;
        let errors = [
            Error::Pipeline(vec![]),
            Error::Machine(vec![]),
            Error::Secrets(vec![]),
            Error::Request(text()),
            Error::Locked { message: text(), problems: vec![] },
            Error::Isolation { stages: text(), missing: text() },
            Error::Source { source_name: text(), message: text(), cause: None },
            Error::Stage { stage: text(), place: Box::default(), message: text() },
            Error::Assert { assert: text(), message: text() },
            Error::Sink { sink: text(), message: text(), cause: None },
            Error::File { path: "a".into(), cause: refused() },
            Error::System { action: text(), cause: refused().into() },
            Error::Changed(text()),
            Error::Lost(text()),
            Error::Internal { task: text(), cause: refused().into() },
            Error::Cancelled,
            StoreError::Io { action: "read", path: "a".into(), source: refused() }.into(),
            StoreError::DiskFull("a".into()).into(),
            StoreError::ReadOnly("a".into()).into(),
            StoreError::Version { path: "a".into(), found: text(), expected: 1 }.into(),
            StoreError::NotAStore("a".into()).into(),
            StoreError::Rows { first: 1, other: 2 }.into(),
        ];
        for error in errors {
            let (class, code) = (error.class(), of_class(error.class()).number);
            assert_eq!((class, code), expected(&error), "{error:?}");
        }
    }

    /// The reference lists what classes of errors give and success, and nothing else. A class that is added must be listed: the match
    /// has no default.
    #[test]
    fn the_documented_codes_are_those_of_the_classes() {
        fn is_listed(class: ErrorClass) {
            match class {
                ErrorClass::User
                | ErrorClass::Lock
                | ErrorClass::Isolation
                | ErrorClass::Run
                | ErrorClass::Environment
                | ErrorClass::Store
                | ErrorClass::Internal
                | ErrorClass::Stopped => {}
            }
        }
        let classes = [
            ErrorClass::User,
            ErrorClass::Lock,
            ErrorClass::Isolation,
            ErrorClass::Run,
            ErrorClass::Environment,
            ErrorClass::Store,
            ErrorClass::Internal,
            ErrorClass::Stopped,
        ];
        classes.into_iter().for_each(is_listed);
        let given: BTreeMap<u8, &str> =
            classes.into_iter().map(of_class).chain([OK]).map(|exit| (exit.number, exit.meaning)).collect();
        let (_, page) = include_str!("../../docs/cli.md").split_once("## Exit codes").unwrap();
        let table = page.split("\n## ").next().unwrap().lines();
        let rows = table.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
        let documented: BTreeMap<u8, &str> =
            rows.filter_map(|(number, meaning)| Some((number.parse().ok()?, meaning))).collect();
        assert_eq!(documented, given);
        let words = include_str!("../templates/events.md");
        for class in classes {
            let name = serde_json::to_value(class).unwrap();
            assert!(words.contains(&format!("`{}`", name.as_str().unwrap())), "{name}");
        }
    }

    #[test]
    fn numbers_are_told_apart() {
        let mut numbers: Vec<u8> = ALL.iter().map(|exit| exit.number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), ALL.len());
    }
}
