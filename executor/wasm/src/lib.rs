//! The wasm runner: stages as components, in this process, behind host-owned batches.
//!
//! A batch never leaves the host. A guest holds a handle, pulls the columns that it reads (one copy into its memory) and
//! pushes those that it writes (one copy out of it, validated). What it filters, takes or slices is a note beside the
//! handle until a column is used. All that a guest gives is checked: a stage may be hostile, and the worst that it can do
//! is to fail.
//!
//! - `component`, `engine`: bytes to compiled code, and which imports are allowed;
//! - `question`, `describe`: what a stage says of itself at plan time;
//! - `instance`, `fault`: one invocation, and how it ends;
//! - `data`, `host`, `held`, `picks`, `ports`: the imports and the state behind them;
//! - `handles`, `leases`, `budget`, `clock`, `log`, `wasi`: the limits, and the deterministic system interface.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod budget;
mod clock;
mod component;
mod contract;
mod data;
mod describe;
mod engine;
mod fault;
mod folder;
mod handles;
mod held;
mod host;
mod installed;
mod instance;
mod leases;
mod log;
mod picks;
mod ports;
mod question;
mod runner;
#[cfg(feature = "wasi")]
mod wasi;
#[cfg(not(feature = "wasi"))]
#[path = "no_wasi.rs"]
mod wasi;

use std::path::PathBuf;

use flowc_planner::key::StageDigest;

pub use budget::{DEFAULT_MEMORY, within};
pub use engine::STACK_PER_INSTANCE;
pub use folder::CompiledFolder;
pub use installed::InstalledCode;
pub use log::{LOG_LINE_BYTES, LOG_LINES};
pub use runner::{ComponentFiles, WasmRunner};

/// Keeps compiled components between runs, by name, in files that are sealed ([`flowc_platform::seal`]): machine code is run as
/// it is found, so it must be what was compiled.
pub trait CompiledCache: Send + Sync {
    /// The file that was kept under a name; none if there is none, or if it is not just as it was kept.
    fn find(&self, name: &str) -> Option<PathBuf>;

    /// Keeps it, in the place of what is there already. Gives its file; none if it can't be kept: the caller goes on without.
    fn put(&self, name: &str, bytes: &[u8]) -> Option<PathBuf>;

    /// Told before a component is compiled, which takes seconds.
    fn compiling(&self, _component: &StageDigest) {}
}

/// Why there is no runner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WasmError {
    /// The engine can't be made.
    #[error("the wasm engine can't be started: {0}")]
    Engine(String),
    /// Compiled components can't be put beside the program.
    #[error("components can't be compiled ahead: {0}")]
    Install(String),
}
