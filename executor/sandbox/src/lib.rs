//! Runs a program that can reach nothing but what it was given: no network unless it is lent, no files beyond those listed, limits on
//! memory and on the number of processes, and an end when whoever started it ends.
//!
//! Three processes make it so. [`Sandbox::spawn`] starts *helper* with the sandbox as its argument. That process (`outer`)
//! takes new namespaces and starts itself again inside. There (`inner`) it is the first process of its process
//! namespace: it gives up what it may reach, starts the program and waits for it. When it ends, the kernel ends all that is
//! left in the namespace, whatever the program started. `outer` ends `inner` when its standard input ends, so when
//! the process that started it is gone, also by `kill -9`.
//!
//! Where the machine allows no namespaces, as in many containers, what is left of this is done: no files, no sockets but Unix
//! ones, limits; and `outer` ends what the program started. [`isolation`] tells.
//!
//! Programs that may reach what the user may, as compilers have to, are [`guarded`]: they end with whoever started them.
//!
//! The helper is any program that calls [`main`] first thing.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod circumstances;
mod confine;
mod fd_broker;
mod guard;
mod helper;
mod inner;
mod isolation;
mod outer;
mod printed;
mod privileges;
mod probe;
mod process_tree;
mod profile;
mod refused;
mod root;
mod spawn;
mod status;
mod syscalls;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spawn::Order;

pub use fd_broker::ReadOnlyFdBroker;
pub use guard::{GuardError, guarded};
pub use helper::{ENGINE, Helper, TrialMemory};
pub use isolation::{Isolation, Mechanism};
pub use printed::Printed;
pub use probe::isolation;
pub use profile::seccomp_profile;
pub use root::{PROCESSOR_LISTS, PROCESSORS, counted};
pub use spawn::end;
pub use status::{describe, describe_code, is_out_of_memory};

/// The argument by which a helper knows what it is asked for.
const OUTER: &str = "sandboxed-program";
const INNER: &str = "sandboxed-program-inner";
const FD_BROKER: &str = "read-only-files";
const GUARD: &str = "guarded-program";

/// A program and what it may reach.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sandbox {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    /// The folder that it starts in.
    pub folder: PathBuf,
    /// Files and folders that it may read and execute, beside the system's libraries.
    pub readable: Vec<PathBuf>,
    /// Folders that it may write to.
    pub writable: Vec<PathBuf>,
    /// Bytes of memory that its processes may take: each of its own, and all together.
    pub memory: Option<u64>,
    /// The processors that it runs on, by their numbers; those of whoever starts it if there are none.
    pub processors: Vec<usize>,
    /// Processes and threads that it may have at once.
    pub processes: u64,
    /// Whether it may reach the network, as a client.
    pub network: bool,
}

/// What went wrong before the program ran.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox can't be made: {step}: {cause}")]
pub struct SandboxError {
    step: &'static str,
    cause: String,
}

impl SandboxError {
    fn at<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self { step, cause: cause.to_string() }
    }
}

/// The exit status of a helper that could not start the program.
const NOT_STARTED: i32 = 126;

/// Does the helper's part, if the arguments of this process ask for it; does not return then. To be called before any
/// thread is started.
pub fn main() {
    // A guarded program's words may be no text.
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    let mut args = std::env::args_os().skip(1).map(text);
    let (Some(part), Some(sandbox)) = (args.next(), args.next()) else { return };
    let status = match part.as_str() {
        OUTER => described(&sandbox).and_then(|order| outer::run(&order)),
        INNER => described(&sandbox).and_then(|order| inner::run(&order)),
        FD_BROKER => fd_broker::serve(&sandbox),
        GUARD => Ok(guard::run()),
        _ => return,
    };
    std::process::exit(status.unwrap_or_else(|error| {
        eprintln!("{error}");
        NOT_STARTED
    }));
}

fn described(order: &str) -> Result<Order, SandboxError> {
    serde_json::from_str(order).map_err(SandboxError::at("its description"))
}
