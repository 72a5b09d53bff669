//! The helper inside: gives up what the program may not reach, starts it, and waits for it.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, set_child_subreaper, set_parent_process_death_signal, wait};

use crate::confine::{give_up_files, limit};
use crate::family::{kill_family, takes_more};
use crate::status::{OTHER, OUT_OF_MEMORY};
use crate::{Sandbox, SandboxError, privileges, root, syscalls};

/// How often it is looked at what the processes take together.
const WATCH: Duration = Duration::from_millis(200);

/// Runs the program to its end.
pub(crate) fn run(sandbox: &Sandbox) -> Result<i32, SandboxError> {
    end_with_parent().map_err(SandboxError::at("the end with its parent"))?;
    let is_first = getpid() == Pid::INIT;
    let has_own_root = is_first && root::enter(sandbox).map_err(SandboxError::at("its root"))?;
    if !is_first {
        // What the program leaves behind is counted with it.
        set_child_subreaper(Some(getpid())).map_err(SandboxError::at("its children"))?;
    }
    limit(sandbox).map_err(SandboxError::at("limits"))?;
    privileges::give_up().map_err(SandboxError::at("privileges"))?;
    give_up_files(sandbox, has_own_root).map_err(SandboxError::at("files"))?;
    // Some machines have no such filters; `isolation` tells.
    let _ = syscalls::refuse(is_first);
    let mut command = Command::new(&sandbox.program);
    command.args(&sandbox.args).env_clear().envs(&sandbox.env).current_dir(&sandbox.folder).stdin(Stdio::inherit());
    let program = command.spawn().map_err(SandboxError::at("the program"))?;
    let is_over = Arc::new(AtomicBool::new(false));
    if let Some(memory) = sandbox.memory {
        let is_over = is_over.clone();
        std::thread::Builder::new()
            .spawn(move || watch(memory, has_own_root, &is_over))
            .map_err(SandboxError::at("who watches its memory"))?;
    }
    let status = wait_for(program.id()).map_err(SandboxError::at("waiting for it"))?;
    Ok(match status {
        _ if is_over.load(Ordering::Acquire) => OUT_OF_MEMORY,
        OUT_OF_MEMORY => OTHER,
        status => status,
    })
}

/// Kills the program and all that it started when they take more memory together than this.
fn watch(memory: u64, has_own_files: bool, is_over: &AtomicBool) {
    while !takes_more(memory, has_own_files) {
        std::thread::sleep(WATCH);
    }
    is_over.store(true, Ordering::Release);
    kill_family();
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
