//! What several standard stages are made of.
//!
//! [`Format`] turns the values of columns into numbers or bytes whose order is the values' order, and back. [`Grouper`]
//! numbers the distinct keys among rows. [`Reader`] and [`Writer`] make values of one type those of
//! another. [`Mistakes`] gathers what is wrong with a config, so that all of it is told at
//! once. None of it depends on Arrow's kernels, which would make components several times as big.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bytes;
mod convert;
mod dictionaries;
mod format;
mod grouper;
mod literal;
mod mistakes;
mod plain;
mod rewrites;
mod scalars;
mod table;
pub mod times;
mod values;
mod word;

pub use bytes::Bytes;
pub use convert::{Reader, Writer, converts};
pub use format::{Format, Rows};
pub use grouper::Grouper;
pub use literal::literal;
pub use mistakes::Mistakes;
pub use plain::{filled, gather, gather_or_null, joined, list, list_items, plain, plain_type};
pub use rewrites::rewrites;
pub use scalars::{Misfit, Value, text};
pub use values::is_ordered;

#[cfg(test)]
mod tests;
