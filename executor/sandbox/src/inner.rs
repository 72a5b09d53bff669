//! The helper inside: gives up what the program may not reach, starts it, and waits for it.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getuid, set_child_subreaper, set_parent_process_death_signal, wait,
};

use crate::confine::{give_up_files, limit};
use crate::isolation::Mechanism;
use crate::probe::report;
use crate::process_tree::{can_watch, kill_tree, takes_more};
use crate::spawn::Order;
use crate::status::{OTHER, OUT_OF_MEMORY};
use crate::{Sandbox, SandboxError, privileges, root, syscalls};

/// How often it is looked at what the processes take together.
const WATCH: Duration = Duration::from_millis(200);

/// Runs the program to its end, or says what is missing to isolate one.
pub(crate) fn run(order: &Order) -> Result<i32, SandboxError> {
    let sandbox = &order.sandbox;
    end_with_parent().map_err(SandboxError::at("the end with its parent"))?;
    let isolated = isolate(sandbox)?;
    match &order.required {
        None => report(&isolated.missing),
        Some(required) => match required.iter().find(|mechanism| isolated.missing.contains(mechanism)) {
            Some(lost) => Err(SandboxError::at("what it was to have")(format!("{} is missing", lost.name()))),
            None => start(sandbox, isolated.has_own_root),
        },
    }
}

/// What came of isolating this process.
struct Isolated {
    has_own_root: bool,
    missing: Vec<Mechanism>,
}

/// Gives up all that a program may not reach, as far as this machine allows.
fn isolate(sandbox: &Sandbox) -> Result<Isolated, SandboxError> {
    let is_first = getpid() == Pid::INIT;
    let root = if is_first { root::enter(sandbox).map_err(SandboxError::at("its root"))? } else { None };
    if !is_first {
        // What the program leaves behind is counted with it.
        set_child_subreaper(Some(getpid())).map_err(SandboxError::at("its children"))?;
    }
    limit(sandbox).map_err(SandboxError::at("limits"))?;
    privileges::give_up().map_err(SandboxError::at("privileges"))?;
    let has_landlock = give_up_files(sandbox, root.is_some()).map_err(SandboxError::at("files"))?;
    let has_filter = syscalls::refuse(is_first || sandbox.network).is_ok();
    let is_bounded = root.as_ref().is_some_and(|root| root.bounds_processes) || !getuid().is_root();
    let had = [
        (Mechanism::Namespaces, is_first),
        (Mechanism::Root, root.is_some()),
        (Mechanism::Landlock, has_landlock),
        (Mechanism::Filter, has_filter),
        (Mechanism::ProcessBound, is_bounded),
        (Mechanism::MemoryWatch, can_watch()),
    ];
    let missing = had.into_iter().filter(|(_, is_there)| !is_there).map(|(mechanism, _)| mechanism).collect();
    Ok(Isolated { has_own_root: root.is_some(), missing })
}

fn start(sandbox: &Sandbox, has_own_root: bool) -> Result<i32, SandboxError> {
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
    kill_tree();
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
