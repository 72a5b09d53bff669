//! Rows of databases as sources: a part is what was found at one moment.
//!
//! ```text
//! DatabaseSource -> parts (a moment each, or a range of the cursor) -> a file per part (snapshot.rs) -> segments, as of Arrow files
//!                                                                       | while it is written (../arriving.rs) -> the same segments
//! ```
//!
//! A database answers differently at any time, so its rows are read once and kept in the store. They are cut where their content says
//! ([`cut`]), so that rows which come in between leave all other segments as they are.

mod cursor;
mod cut;
mod select;
mod snapshot;
mod source;

pub(crate) use source::DatabaseSource;
