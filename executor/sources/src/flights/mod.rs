//! Rows of servers of Arrow Flight as sources: one part, which is all that the server gives when it is asked.
//!
//! ```text
//! FlightSource -> a kept file of Arrow IPC (kept.rs) -> segments, as of any such file
//! ```
//!
//! A server does not say whether it would give the same again. So what it gave is kept in the store, and the text says how long that
//! stands; keys come from the rows.

mod kept;
mod source;

pub(crate) use source::FlightSource;
