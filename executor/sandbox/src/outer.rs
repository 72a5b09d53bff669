//! The helper outside: new namespaces, and an end for everything when the starter is gone.

use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal, set_child_subreaper, wait,
};

use rustix::system::{setdomainname, sethostname};

use crate::confine::{namespaces, unshare};
use crate::privileges;
use crate::process_tree::kill_tree;
use crate::spawn::Order;
use crate::status::passed_on;
use crate::{INNER, SandboxError};

/// The name of every sandbox's host.
const HOST: &str = "flowc";

/// Runs the inner helper to its end.
pub(crate) fn run(order: &Order) -> Result<i32, SandboxError> {
    // Without namespaces, what the program leaves behind becomes this process's child, which ends it.
    let is_alone = unshare(namespaces(order.sandbox.network)).is_err();
    if is_alone {
        set_child_subreaper(Some(getpid())).map_err(SandboxError::at("its children"))?;
    } else {
        // A machine's name is nothing that results may depend on.
        sethostname(HOST.as_bytes())
            .and_then(|()| setdomainname(b"(none)"))
            .map_err(SandboxError::at("its host's name"))?;
        privileges::keep().map_err(SandboxError::at("the right to mount"))?;
    }
    let this = std::env::current_exe().map_err(SandboxError::at("the helper"))?;
    let text = serde_json::to_string(order).map_err(SandboxError::at("its description"))?;
    let mut command = Command::new(this);
    command.args([INNER, &text]).stdin(Stdio::piped());
    let mut inner = command.spawn().map_err(SandboxError::at("the inner helper"))?;
    // The pipe stays open as long as this process lives: programs take its end as theirs.
    let _held = inner.stdin.take();
    end_with_input(inner.id()).map_err(SandboxError::at("waiting for it"))?;
    let status = inner.wait().map(passed_on).map_err(SandboxError::at("waiting for it"));
    if is_alone {
        end_children();
    }
    status
}

/// Ends all children, and those that become children by that.
pub(crate) fn end_children() {
    while kill_tree() && wait(WaitOptions::empty()).is_ok() {}
}

/// Waits for the end of a process, and kills it when this one's standard input ends. There is no thread for that: the kernel
/// allows none here, since it would be in another process namespace than what is started.
pub(crate) fn end_with_input(process: u32) -> rustix::io::Result<()> {
    let Some(pid) = Pid::from_raw(process as i32) else { return Ok(()) };
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let stdin = std::io::stdin();
    loop {
        let mut either = [PollFd::new(&process, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut either, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if !either[0].revents().is_empty() {
            return Ok(());
        }
        let mut ignored = [0; 256];
        if matches!(read(&stdin, &mut ignored), Ok(0) | Err(_)) {
            return pidfd_send_signal(&process, Signal::KILL);
        }
    }
}
