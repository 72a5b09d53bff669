//! Sources as they are: which files there are, what is known of them, and reading those that are new or changed.
//!
//! May use plans, the store and `flowc-sources`; knows nothing of stages and runs.

pub(crate) mod clocks;
pub(crate) mod files;
pub(crate) mod inventory;
pub(crate) mod notes;
pub(crate) mod notices;
pub(crate) mod scan;
