//! The server of the stage protocol, with stages that do as the tests want.
#![allow(clippy::unwrap_used)]

mod calls;
mod chains;
mod flow;
mod hostile;
mod sizes;
mod stored;
mod support;
