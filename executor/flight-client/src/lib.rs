//! Servers of Arrow Flight, as readers of their rows see them.
//!
//! [`Client`] asks a server what a flight holds ([`Client::schema`]), and reads it ([`Client::read`]): all endpoints, one after the
//! other in the server's order, so that the rows have one order.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod client;
mod error;
mod plain;

pub use client::{Access, Ask, Client};
pub use error::FlightError;
