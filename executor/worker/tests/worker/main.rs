//! Workers, and those who use them or try to.
#![allow(clippy::unwrap_used)]

mod conformance;
mod refused;
mod support;
mod turns;
