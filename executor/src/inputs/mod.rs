//! Rows that stages and sinks take in: where columns are, and reading them from the store and from source files side by side.
//!
//! `lookup` is what `flowc-demand` asks. May use `intake` and the store; knows nothing of running stages.

mod ahead;
pub(crate) mod full_input;
pub(crate) mod lookup;
pub(crate) mod lookup_cache;
pub(crate) mod partitioner;
pub(crate) mod ranges;
pub(crate) mod read;
pub(crate) mod stream_rows;
pub(crate) mod times;
