//! Files and folders as sinks: written beside their target, then renamed into place.
//!
//! `sink` implements the traits; `transaction` compares what is to be written with what is there (`compare`); `writer` writes into the
//! folders of `staging`; `commit` makes all files appear, by one rename or by `swap`. A folder's `manifest` lists the
//! files that the sink wrote; no other file is ever deleted.

mod commit;
pub(crate) mod compare;
pub(crate) mod layout;
pub(crate) mod manifest;
pub(crate) mod names;
pub(crate) mod partition;
pub(crate) mod place;
mod retire;
pub(crate) mod sink;
pub(crate) mod staging;
mod swap;
mod transaction;
pub(crate) mod writer;
