//! The columns of sources that do not declare them, and what to say where a file does not fit inferred ones.

pub(crate) mod basis;
pub(crate) mod csv_types;
pub(crate) mod doubts;
pub(crate) mod schema;
pub(crate) mod shape;
