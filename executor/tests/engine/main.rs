//! The engine, through its session, over real files and the standard stages.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod changing;
mod clash;
mod collecting;
mod components;
mod crash;
mod early;
mod faults;
mod forks;
mod integrity;
mod keyed;
mod parquet;
mod ports;
mod reuse;
mod support;
mod windows;
