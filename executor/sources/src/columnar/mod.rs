//! Formats that state their columns: Parquet, Arrow IPC and Avro. What a file states is checked before a decoder sees it.

#[cfg(feature = "avro")]
pub(crate) mod avro;
pub(crate) mod conform;
pub(crate) mod convert;
pub(crate) mod ipc;
pub(crate) mod parquet;
pub(crate) mod promise;
