//! The engine, through its session, over real files and the standard stages.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod crash;
mod integrity;
mod keyed;
mod ports;
mod reuse;
mod support;
