//! What damaged Parquet files promise: lengths and counts that decoders allocate for before they find out. An allocator's
//! refusal ends the process, so what a file states is held against what it can be first.
//!
//! Numbers that make no sense at all are left to the decoders, which have errors for them.

mod footer;
mod pages;

pub use footer::{check_footer, is_encrypted};
pub use pages::{RowGroup, Takes};
