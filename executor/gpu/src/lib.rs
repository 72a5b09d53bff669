//! The runner for WGSL kernels: adapters and which one is meant, the device, and batches that go there and back. wgpu lives
//! here alone.
//!
//! Batches are put together to blocks. Where a row depends on itself alone, a block is as many rows as are worth a dispatch; else it
//! is the whole segment. The processor packs what Arrow holds in other units than words (masks, validity, booleans) and makes one
//! of all NaNs: that is a pass over memory that is read or written anyway.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adapter;
mod adapters;
mod budget;
mod counted;
mod device;
mod devices;
mod evidence;
mod instance;
mod kind;
mod known;
mod merging;
mod passage;
mod prepared;
mod probe;
mod staging;
mod steps;
mod table;
mod tables;
mod upload;
mod vulkan;
mod work;
mod written;

#[cfg(test)]
#[path = "../tests/support/driver.rs"]
mod driver;

pub use adapter::{Adapter, Choice, Limits, Sort};
pub use adapters::{Forgetful, Remembered, adapters};
pub use kind::Kernels;
