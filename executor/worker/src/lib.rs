//! Components on other hosts.
//!
//! [`Worker`] is the far side: it listens over TLS, takes components by their digest, and executes them behind the stage
//! protocol. [`WorkerRunner`] is the near side: it sends workers what they lack, and opens instances on them by turns.
//!
//! A worker talks only with those who have its [`Credentials`], which are made anew each time that it starts.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod components;
mod credentials;
mod listening;
mod runner;

pub use credentials::Credentials;
pub use listening::{Worker, WorkerError};
pub use runner::WorkerRunner;
