//! Looking without running: what a run would do and why, the rows of a stream, and maintenance of the store.
//!
//! May use everything but `run`.

pub mod admin;
pub(crate) mod reasons;
pub(crate) mod show;
pub(crate) mod status_query;
pub(crate) mod windows;
