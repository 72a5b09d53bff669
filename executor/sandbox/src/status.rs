//! How a process ended, as a number and in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Added to a signal's number where a process passes on that another one was ended by it, as shells do.
const SIGNALLED: i32 = 128;

/// The exit status of a sandbox whose processes took more memory together than they may. A program's own is passed on as
/// [`OTHER`], so that it can't be taken for this.
pub(crate) const OUT_OF_MEMORY: i32 = 125;
pub(crate) const OTHER: i32 = 124;

/// Whether a sandbox ended since its processes took more memory together than they may.
pub fn is_out_of_memory(status: ExitStatus) -> bool {
    status.code() == Some(OUT_OF_MEMORY)
}

/// The exit status that passes on how another process ended.
pub(crate) fn passed_on(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| SIGNALLED + status.signal().unwrap_or_default())
}

/// How a program in a sandbox ended, in words.
pub fn describe(status: ExitStatus) -> String {
    if is_out_of_memory(status) {
        return "its processes took more memory together than they may".to_owned();
    }
    describe_code(passed_on(status))
}

/// The same, of an exit status that passes on how another process ended, as shells and container engines do.
pub fn describe_code(code: i32) -> String {
    match code.checked_sub(SIGNALLED).filter(|signal| (1..64).contains(signal)) {
        Some(signal) => match name(signal) {
            Some(name) => format!("killed by signal {signal} ({name})"),
            None => format!("killed by signal {signal}"),
        },
        None => format!("exit status {code}"),
    }
}

fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        4 => "SIGILL, an illegal instruction",
        6 => "SIGABRT, it aborted",
        7 => "SIGBUS, a bad memory access",
        8 => "SIGFPE, an arithmetic error",
        9 => "SIGKILL, from outside, or for want of memory",
        11 => "SIGSEGV, a bad memory access",
        15 => "SIGTERM",
        31 => "SIGSYS, a forbidden system call",
        _ => return None,
    })
}
