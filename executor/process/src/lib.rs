//! Programs that serve stages: how they are started, wait for work, and are lent to invocations.
//!
//! - [`Host`] starts programs in sandboxes ([`Process`]), each with a [`Folder`] of its own for its socket;
//! - [`Registry`] holds how each stage is started;
//! - [`Pool`] keeps those that wait, by what makes them alike, and lends them ([`Lent`]). Whatever is a [`Server`] can be
//!   kept so: a process, or something else that runs a program.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod contain;
mod door;
mod error;
mod folder;
mod host;
mod pool;
mod process;
mod processors;
mod registry;

pub use contain::{Contain, Enclosure};
pub use error::ProcessError;
pub use folder::Folder;
pub use host::Host;
pub use pool::{Lent, Pool, Server};
pub use process::{PROCESSES, Process};
pub use processors::LentProcessors;
pub use registry::Registry;
