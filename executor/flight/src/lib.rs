//! The client of the stage protocol (`docs/flight-protocol.md`): stages that run in a program of their own, behind
//! Arrow Flight. Who starts that program, and in what isolation, is not decided here.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod call;
mod chain;
mod connection;
mod credit;
mod decode;
mod encode;
mod instance;
mod output;
mod pending;
mod program;
mod question;
mod wire;

#[cfg(feature = "testing")]
pub mod testing;

pub use connection::{ConnectError, Connection, Network};
pub use instance::{FlightInstance, Stages};
pub use program::{Ending, Program};
