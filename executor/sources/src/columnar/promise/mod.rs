//! What damaged files promise: lengths and counts that decoders allocate for before they find out. An allocator's refusal
//! ends the process, so what a file states is held against what it can be first. What Parquet promises is checked by
//! [`flowc_codec::promise`].
//!
//! Numbers that make no sense at all are left to the decoders, which have errors for them.

mod ipc;

pub(crate) use ipc::check_buffers;
