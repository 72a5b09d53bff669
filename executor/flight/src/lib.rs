//! Both sides of the stage protocol (`docs/flight-protocol.md`): instances of stages that run in another program, behind
//! Arrow Flight, and the server of stages that run in this one ([`serve`]). Who starts that program, and in what isolation,
//! is not decided here.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod call;
mod chain;
mod connection;
mod credit;
mod decode;
mod encode;
mod input;
mod instance;
mod memory;
mod output;
mod pending;
mod program;
mod question;
mod secured;
pub mod serve;
mod stored;
mod transport;
mod wire;

#[cfg(feature = "testing")]
pub mod testing;

pub use connection::{ConnectError, Connection, Network};
pub use instance::{FlightInstance, Stages};
pub use memory::{MEMORY, Meeting, OpenFiles};
pub use program::{Ending, Program};
pub use question::{PATIENCE, Unanswered};
pub use secured::{Identity, SERVER_NAME};
