//! Programs that end with whoever started them, and all that they started too.
//!
//! A helper stands between: it starts the program in a session of its own, where no terminal reaches it, neither by a signal
//! nor by a question that nobody would answer. The helper ends all of it when its standard input ends, so when the process that
//! started it is gone, also by `kill -9`.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, getpid, kill_process_group, set_child_subreaper, setsid};

use crate::outer::{end_children, end_with_input};
use crate::status::passed_on;
use crate::{GUARD, NOT_STARTED};

/// How the last line of a helper begins that could not start the program.
const REFUSED: &str = "the program can't be started: ";
/// How the last line of a helper begins that failed itself.
const FAILED: &str = "the helper of a program failed: ";

/// The command that runs another one by a helper, which is a program that calls [`crate::main`] first thing. The other one has the
/// variables that it names and no others, no input, and lives as long as the standard input of the helper: that is a pipe.
pub fn guarded(helper: &Path, command: &Command) -> Command {
    let mut guard = Command::new(helper);
    guard.arg(GUARD).arg(command.get_program()).args(command.get_args()).env_clear();
    guard.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        guard.current_dir(folder);
    }
    guard.process_group(0).stdin(Stdio::piped());
    guard
}

/// Why a helper did not run its program to the end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardError {
    /// The program does not start.
    #[error("{REFUSED}{0}")]
    Program(String),
    /// The helper failed.
    #[error("{FAILED}{0}")]
    Helper(String),
}

impl GuardError {
    /// Why a helper that ended so, and printed this on standard error, did not run its program to the end; none if it did. A program
    /// may end with the same status: then its last line tells.
    pub fn of(status: ExitStatus, printed: &str) -> Option<Self> {
        let last = printed.trim_end().lines().last().filter(|_| status.code() == Some(NOT_STARTED))?;
        let program = last.strip_prefix(REFUSED).map(|reason| Self::Program(reason.to_owned()));
        program.or_else(|| last.strip_prefix(FAILED).map(|reason| Self::Helper(reason.to_owned())))
    }

    fn helper(error: impl std::fmt::Display) -> Self {
        Self::Helper(error.to_string())
    }
}

/// The helper's side: runs the program to its end, and gives the status to end with.
pub(crate) fn run() -> i32 {
    run_to_end().unwrap_or_else(|error| {
        eprintln!("{error}");
        NOT_STARTED
    })
}

fn run_to_end() -> Result<i32, GuardError> {
    set_child_subreaper(Some(getpid())).map_err(GuardError::helper)?;
    let mut words = std::env::args_os().skip(2);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    // SAFETY: the call is one that may be made between a fork and the start of a program.
    unsafe { command.pre_exec(|| setsid().map(drop).map_err(io::Error::from)) };
    let mut program = command.spawn().map_err(|error| GuardError::Program(error.to_string()))?;
    end_with_input(program.id()).map_err(GuardError::helper)?;
    // Its number is its own until it is waited for. Nothing of the group may be left.
    if let Some(group) = Pid::from_raw(program.id() as i32) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = program.wait().map(passed_on).map_err(GuardError::helper);
    end_children();
    status
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_helpers_failures_are_told_from_those_of_the_program() {
        let of = |code: i32, printed: &str| GuardError::of(ExitStatus::from_raw(code << 8), printed);
        let (program, helper) = (GuardError::Program("no such file".into()), GuardError::Helper("no memory".into()));
        for error in [&program, &helper] {
            assert_eq!(of(NOT_STARTED, &format!("{error}\n")).as_ref(), Some(error));
            let printed = format!("what the program said\n{error}\n");
            assert_eq!(of(NOT_STARTED, &printed).as_ref(), Some(error), "at the end");
            assert_eq!(of(1, &printed), None, "a program that prints the same");
            assert_eq!(of(NOT_STARTED, &format!("{error}\nwhat the program said\n")), None, "before its last line");
        }
        assert_eq!(of(NOT_STARTED, ""), None, "a program that ends with the same status");
    }
}
