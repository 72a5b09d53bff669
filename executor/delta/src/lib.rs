//! Delta tables: what a version of one holds, and adding one. `delta_kernel` lives here alone.
//!
//! The kernel reads a table's log; rows never come here. [`Table`] is a table, [`Version`] what it holds at one time: its columns, its data
//! files, and which of their rows are deleted. Whoever reads the data files finds the columns by [`Column`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod engine;
mod error;
mod staging;
mod table;
mod types;
mod write;

pub use error::DeltaError;
pub use table::{DataFile, Table, Version};
pub use types::{Column, table_type};
pub use write::{Added, Change, Head, NewFile, token};
