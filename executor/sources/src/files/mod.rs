//! Files: found by patterns, opened as plain bytes whatever their compression, with the columns that the names of their folders have.

pub(crate) mod list;
pub(crate) mod marks;
pub(crate) mod open;
pub(crate) mod origin;
pub(crate) mod part_bytes;
pub(crate) mod partitions;
pub(crate) mod source;
pub(crate) mod spool;
pub(crate) mod view;
