//! Formats that state their columns: Parquet and Arrow IPC. What a file states is checked before a decoder sees it.

pub(crate) mod conform;
pub(crate) mod convert;
pub(crate) mod ipc;
pub(crate) mod parquet;
pub(crate) mod promise;
