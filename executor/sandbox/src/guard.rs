//! Programs that end with whoever started them, and all that they started too.
//!
//! A helper stands between: it starts the program in a session of its own, where no terminal reaches it, neither by a signal
//! nor by a question that nobody would answer. The helper ends all of it when its standard input ends, so when the process that
//! started it is gone, also by `kill -9`.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getpid, kill_process_group, set_child_subreaper, setsid};

use crate::outer::{end_children, end_with_input};
use crate::status::passed_on;
use crate::{GUARD, SandboxError};

/// How the message of a helper begins that could not start the program.
const REFUSED: &str = "the program can't be started: ";

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

/// Why a program was not started, by what its helper printed; none if it was.
pub fn not_started(printed: &str) -> Option<&str> {
    Some(printed.strip_prefix(REFUSED)?.trim_end())
}

/// The helper's side: runs the program to its end.
pub(crate) fn run() -> Result<i32, SandboxError> {
    set_child_subreaper(Some(getpid())).map_err(SandboxError::at("its children"))?;
    let mut words = std::env::args_os().skip(2);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).stdin(Stdio::null());
    // SAFETY: the call is one that may be made between a fork and the start of a program.
    unsafe { command.pre_exec(|| setsid().map(drop).map_err(io::Error::from)) };
    let mut program = match command.spawn() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("{REFUSED}{error}");
            return Ok(crate::NOT_STARTED);
        }
    };
    end_with_input(program.id()).map_err(SandboxError::at("waiting for it"))?;
    // Its number is its own until it is waited for. Nothing of the group may be left.
    if let Some(group) = Pid::from_raw(program.id() as i32) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let status = program.wait().map(passed_on).map_err(SandboxError::at("waiting for it"));
    end_children();
    status
}
