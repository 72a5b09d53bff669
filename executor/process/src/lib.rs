//! Programs that serve stages: how they are started, wait for work, and are lent to invocations.
//!
//! - [`Host`] starts programs in sandboxes ([`Process`]), each with a [`Folder`] of its own for its socket;
//! - [`Pool`] keeps those that wait, by what makes them alike, and lends them ([`Lent`]). Whatever is a [`Server`] can be
//!   kept so: a process, or something else that runs a program;
//! - [`PooledRunner`] runs stages in such programs. A kind of stage brings a [`Launcher`], which starts them, and says as a
//!   [`PooledKind`] how their code is found.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod error;
mod folder;
mod host;
mod pool;
mod pooled;
mod process;
mod processors;
mod registry;
mod stored_files;

pub use backend::{ContainerLauncher, IsolationBackend};
pub use error::{LaunchError, ProcessError};
pub use flowc_flight::Unanswered;
pub use folder::Folder;
pub use host::Host;
pub use pool::{Lent, Pool, Server};
pub use pooled::{Launch, Launcher, PooledKind, PooledRunner};
pub use process::{PROCESSES, Process};
pub use processors::LentProcessors;
