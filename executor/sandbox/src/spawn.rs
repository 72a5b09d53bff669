//! Starting it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::{Mechanism, OUTER, Sandbox};

/// How long a helper may take to end what it started.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a helper is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) sandbox: Sandbox,
    /// The means that must be there, or the program is not started. None to start nothing, and to say what is missing.
    pub(crate) required: Option<Vec<Mechanism>>,
}

impl Sandbox {
    /// Starts the program in its sandbox. All three standard streams are pipes; the program lives as long as its standard
    /// input. `helper` is a program that calls [`crate::main`] first thing. Where one of the `required` means can't be had, the
    /// program is not started.
    ///
    /// # Errors
    /// If the helper can't be started. What goes wrong later is in its exit status and on its standard error.
    pub fn spawn(&self, helper: &Path, required: Vec<Mechanism>) -> std::io::Result<Child> {
        spawn(helper, &Order { sandbox: self.clone(), required: Some(required) })
    }
}

pub(crate) fn spawn(helper: &Path, order: &Order) -> std::io::Result<Child> {
    let mut command = Command::new(helper);
    // What a terminal sends to its foreground is for whoever started this, who decides what it means for the program.
    command.args([OUTER, &serde_json::to_string(order)?]).env_clear().process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// Ends a sandbox, and gives its status. The helper hears the end of its standard input, and ends what it started. A helper that
/// does not hear it, as one that is stopped, is killed: the kernel ends with it what is in its namespaces.
pub fn end(child: &mut Child) -> Option<ExitStatus> {
    drop(child.stdin.take());
    if let Ok(None) = child.try_wait()
        && !ends_within(child.id(), PATIENCE)
    {
        // It may have ended this moment.
        let _ = child.kill();
    }
    child.wait().ok()
}

/// Waits for the end of a child that has not been waited for.
fn ends_within(process: u32, patience: Duration) -> bool {
    let Some(pid) = Pid::from_raw(process as i32) else { return false };
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let patience = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience)) {
            Err(Errno::INTR) => {}
            ended => return ended.is_ok_and(|ended| ended > 0),
        }
    }
}
