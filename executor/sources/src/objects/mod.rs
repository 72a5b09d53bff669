//! Objects of object stores as sources: a part per object.
//!
//! ```text
//! ObjectSource -> parts (matches.rs) -> RemoteFile per object (remote.rs) -> View -> formats, as for files
//! ```
//!
//! Of a folder that a sink of flowc writes, only those objects are read that its manifest lists ([`folders`]), and those that others wrote.
//!
//! A listing tells each object's tag, which is in the part's stamp: what was read once is not opened again while the tag
//! stands. An object is read by ranges, under the condition that it still has its tag. What was fetched of it lies in an unlinked
//! file of the spool ([`blocks`]), so that scanning it and then reading its columns fetches each byte once.

mod blocks;
mod folders;
mod kept;
mod matches;
mod remote;
mod source;
#[cfg(test)]
mod testing;

pub(crate) use remote::RemoteFile;
#[cfg(feature = "delta")]
pub(crate) use remote::failed;
pub(crate) use source::ObjectSource;
