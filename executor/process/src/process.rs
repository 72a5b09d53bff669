//! A running process that serves stages.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use flowc_flight::{Connection, Ending, Network};
use flowc_sandbox::{Mechanism, Printed, Sandbox, describe, end, is_out_of_memory};

use crate::processors::LentProcessors;
use crate::{Folder, ProcessError, Server};

/// How long a process may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the end of a process may come after that of its connection.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// Processes and threads that a program may have.
pub const PROCESSES: u64 = 512;

/// A process. Dropping it ends it, and all that it started.
pub struct Process {
    child: Child,
    connection: Connection,
    printed: Printed,
    /// Its socket and its temporary files.
    _folder: Folder,
    _processors: LentProcessors,
}

impl Process {
    /// Starts one and waits until it listens, while it is wanted.
    pub(crate) fn start(
        sandbox: &Sandbox,
        processors: LentProcessors,
        (helper, required): (&Path, Vec<Mechanism>),
        folder: Folder,
        network: &Network,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Self, ProcessError> {
        let mut child = sandbox.spawn(helper, required).map_err(ProcessError::io(helper))?;
        let printed = Printed::default();
        let pipes = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        let listen = pipes.into_iter().flatten().try_for_each(|pipe| printed.listen(pipe));
        listen.map_err(ProcessError::io(helper))?;
        let connection = folder.connect(network, PATIENCE, || is_wanted() && matches!(child.try_wait(), Ok(None)));
        match connection {
            Ok(connection) => Ok(Self { child, connection, printed, _folder: folder, _processors: processors }),
            Err(error) => {
                let reason = error.to_string();
                let status = end(&mut child);
                let words = printed.take().join("\n");
                let how = status.map_or_else(String::new, describe);
                Err(ProcessError::Start { reason: format!("{reason} ({how})\n{words}").trim_end().to_owned() })
            }
        }
    }
}

impl Server for Process {
    fn connection(&self) -> &Connection {
        &self.connection
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn printed(&mut self) -> Vec<String> {
        self.printed.take()
    }

    fn ended(&mut self) -> Option<Ending> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if is_out_of_memory(status) || self.printed.has(is_failed_allocation) => {
                    return Some(Ending::Memory);
                }
                Ok(Some(status)) => return Some(Ending::Other(describe(status))),
                Ok(None) if start.elapsed() < AFTERWARDS => std::thread::sleep(Duration::from_millis(2)),
                _ => return None,
            }
        }
    }
}

/// What programs in Rust print last where they get no memory.
fn is_failed_allocation(line: &str) -> bool {
    line.starts_with("memory allocation of ") && line.ends_with(" bytes failed")
}

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
