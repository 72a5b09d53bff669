//! Formats: whether one can hold a column, and batches to bytes.

#[cfg(feature = "avro")]
pub(crate) mod avro;
pub(crate) mod check;
mod coerce;
mod compress;
pub(crate) mod conform;
mod csv;
pub(crate) mod encode;
pub(crate) mod handover;
pub(crate) mod misfit;
pub(crate) mod plain;
pub(crate) mod table;
pub(crate) mod types;
