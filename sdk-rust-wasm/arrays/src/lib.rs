//! Arrow arrays as flat nodes and buffers: the form in which columns cross the component boundary.
//!
//! [`flatten`] writes down the type tree in pre-order, offsets from zero and bitmaps aligned; [`rebuild`] reads it back.
//! What comes from a guest is rebuilt with [`Trust::Checked`]: whatever the bytes are, the answer is a valid array or an
//! error that says what is wrong with which column. The bytes do not say of which type they are: [`check_types`] compares
//! the types that a guest states with the declared ones.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod flatten;
mod floats;
mod rebuild;
mod schema;
mod types;
mod values;

pub use error::{ArraysError, Fault};
pub use flatten::flatten;
pub use floats::comparable;
pub use rebuild::{Trust, rebuild};
pub use schema::{read_schema, write_schema};
pub use types::check_types;
pub use values::check_values;

/// One node of the type tree of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Number of values.
    pub length: u64,
    /// How many of them are null by the node's own bitmap; all of them for the null type.
    pub null_count: u64,
}

/// Columns, flat. `B` is whatever holds bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat<B> {
    /// For each column its nodes in pre-order.
    pub nodes: Vec<Node>,
    /// For each node its buffers in the order of the Arrow columnar format. An empty validity buffer: all valid.
    pub buffers: Vec<B>,
    /// For each node of a view type, how many data buffers follow its views.
    pub variadic_counts: Vec<u32>,
}

/// How deep types may nest.
pub const MAX_DEPTH: usize = 64;

/// How long a node may be: lists of nulls have no bytes that would bound them.
pub const MAX_LENGTH: u64 = i32::MAX as u64;
