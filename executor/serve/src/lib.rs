//! Stored results, offered over Arrow Flight and Flight SQL.
//!
//! [`Server`] listens and answers; what it offers it asks of [`Results`], which the engine implements:
//!
//! ```text
//! client -> access (token) -> service -> Snapshot -> rows (a thread per query) -> encode -> client
//! ```
//!
//! - `results`: what is offered: tables as a run left them;
//! - `scan`: statements that are no more than the rows of a table;
//! - `metadata`: catalogs, tables, and what the server can do, as Flight SQL has clients ask for it;
//! - `shelf`: the tables of the last runs, so that a query is answered from those that it was planned with;
//! - `access`, `security`: tokens and TLS.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod encode;
mod error;
mod listen;
mod log;
mod metadata;
mod results;
mod rows;
mod scan;
mod security;
mod service;
mod shelf;
mod ticket;

pub use access::{Tokens, TokensError};
pub use error::ServeError;
pub use listen::{Limits, Offer, Server};
pub use log::{QueryLog, QueryReport};
pub use results::{CATALOG, Piece, Refusal, Results, SCHEMA, Snapshot, StoredRows, Table, Take};
pub use security::{Security, Tls};
