//! The helper inside: gives up what the program may not reach, starts it, and waits for it.

use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, set_parent_process_death_signal, wait};

use crate::confine::{bound_processes, give_up_files, give_up_privileges, limit};
use crate::{Sandbox, SandboxError, root};

/// Runs the program to its end.
pub(crate) fn run(sandbox: &Sandbox) -> Result<i32, SandboxError> {
    end_with_parent().map_err(SandboxError::at("the end with its parent"))?;
    if getpid() == Pid::INIT {
        root::enter(sandbox).map_err(SandboxError::at("its root"))?;
        bound_processes(sandbox.processes);
    }
    limit(sandbox).map_err(SandboxError::at("limits"))?;
    give_up_privileges().map_err(SandboxError::at("privileges"))?;
    give_up_files(sandbox).map_err(SandboxError::at("files"))?;
    let mut command = Command::new(&sandbox.program);
    command.args(&sandbox.args).env_clear().envs(&sandbox.env).current_dir(&sandbox.folder).stdin(Stdio::inherit());
    let program = command.spawn().map_err(SandboxError::at("the program"))?;
    wait_for(program.id()).map_err(SandboxError::at("waiting for it"))
}

/// Has the kernel end this process with the outer one. That may be gone already, whose end of the pipe is closed then.
fn end_with_parent() -> rustix::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let stdin = std::io::stdin();
    let mut ends = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut ends, Some(&Timespec::default()))?;
    if ends[0].revents().contains(PollFlags::HUP) { Err(Errno::PIPE) } else { Ok(()) }
}

/// Waits for a process, and takes note of the ends of those that it left behind: the first process of a namespace has to.
fn wait_for(program: u32) -> rustix::io::Result<i32> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid_number(pid) == program => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(signal).unwrap_or_default());
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn pid_number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
