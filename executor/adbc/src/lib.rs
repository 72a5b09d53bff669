//! Databases, as readers and writers of tables see them. ADBC drivers live here alone.
//!
//! Drivers are native code, so each connection has one in a process of its own: flowc, started again in a sandbox that may reach the network
//! and the files that the pipeline's text names. [`Connection`] is flowc's side, [`main`] the process's; between them are frames over
//! a Unix socket, which hold requests as JSON and rows as Arrow IPC.
//!
//! ```text
//! planner's Database -> access() -> Access -> Connection::open -> process { driver } -> rows
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod alone;
mod client;
mod dialect;
mod driver;
mod error;
mod parameters;
mod serve;
mod texts;
mod types;
mod wire;

pub use access::{Access, access};
pub use client::{Connection, Rows};
pub use dialect::{Vendor, quoted};
pub use error::DatabaseError;
pub use parameters::parameters;
pub use serve::main;
pub use types::{plain_schema, plain_type, unreadable};
pub use wire::{Ingest, IngestMode, sliced};
