//! The helper inside: gives up what the program may not reach, starts it, and waits for it.

use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, set_child_subreaper, set_parent_process_death_signal,
    wait,
};

use crate::confine::{bound_processes, give_up_files, limit};
use crate::family::{kill_family, takes_more};
use crate::status::OUT_OF_MEMORY;
use crate::{Sandbox, SandboxError, privileges, root, syscalls};

/// How often it is looked at what the processes take together.
const WATCH: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Runs the program to its end.
pub(crate) fn run(sandbox: &Sandbox) -> Result<i32, SandboxError> {
    end_with_parent().map_err(SandboxError::at("the end with its parent"))?;
    let is_first = getpid() == Pid::INIT;
    if is_first {
        root::enter(sandbox).map_err(SandboxError::at("its root"))?;
        bound_processes(sandbox.processes);
    } else {
        // What the program leaves behind is counted with it.
        set_child_subreaper(Some(getpid())).map_err(SandboxError::at("its children"))?;
    }
    limit(sandbox).map_err(SandboxError::at("limits"))?;
    privileges::give_up().map_err(SandboxError::at("privileges"))?;
    give_up_files(sandbox).map_err(SandboxError::at("files"))?;
    syscalls::refuse(is_first).map_err(SandboxError::at("system calls"))?;
    let mut command = Command::new(&sandbox.program);
    command.args(&sandbox.args).env_clear().envs(&sandbox.env).current_dir(&sandbox.folder).stdin(Stdio::inherit());
    let program = command.spawn().map_err(SandboxError::at("the program"))?;
    wait_for(program.id(), sandbox.memory).map_err(SandboxError::at("waiting for it"))
}

/// Has the kernel end this process with the outer one. That may be gone already, whose end of the pipe is closed then.
fn end_with_parent() -> rustix::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let stdin = std::io::stdin();
    let mut ends = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut ends, Some(&Timespec::default()))?;
    if ends[0].revents().contains(PollFlags::HUP) { Err(Errno::PIPE) } else { Ok(()) }
}

/// Waits for a process, and takes note of the ends of those that it left behind: the first process of a namespace has to. If
/// all of them take more than `memory`, they are killed.
fn wait_for(program: u32, memory: Option<u64>) -> rustix::io::Result<i32> {
    let options = if memory.is_some() { WaitOptions::NOHANG } else { WaitOptions::empty() };
    let process = Pid::from_raw(program as i32).ok_or(Errno::SRCH)?;
    let handle = pidfd_open(process, PidfdFlags::empty())?;
    loop {
        match wait(options) {
            Ok(Some((pid, status))) if pid == process => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(status.exit_status().or(signal).unwrap_or_default());
            }
            Ok(None) => match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&WATCH)) {
                Ok(0) if memory.is_some_and(takes_more) => {
                    kill_family();
                    return Ok(OUT_OF_MEMORY);
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            },
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}
