//! Sources as they are: which files there are, what is known of them, and reading those that are new or changed.
//!
//! What a source calls a part is a *file* here and above, whatever it is: a file, an object, a block of a topic, what a query gave.
//!
//! May use plans, the store and `flowc-sources`; knows nothing of stages and runs.

pub(crate) mod clocks;
pub(crate) mod files;
pub(crate) mod inventory;
pub(crate) mod notes;
pub(crate) mod notices;
pub(crate) mod scan;
