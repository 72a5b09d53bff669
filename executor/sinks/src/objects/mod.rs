//! Objects of object stores, and folders of them, as sinks.
//!
//! ```text
//! out/                            a folder that a sink writes: what the keys of its objects start with
//!     .flowc-sink.json            its manifest: the objects that are the folder's now
//!     a-5f0c9a31e2d4.parquet      an object: the name of its job, and the token of the transaction that wrote it
//!     day=1/b-5f0c9a31e2d4.parquet
//! ```
//!
//! Stores change one object at a time, and replace it only as a whole. So the manifest is the folder: it is swapped in one step, under the
//! condition that it is the one that the transaction began with. A transaction ([`folder`]):
//!
//! 1. adds its token to the manifest's `writers`. From then on no earlier transaction can commit, since the manifest is another one; what
//!    earlier ones left behind is removed, by their tokens;
//! 2. sends parts of objects, of which nobody sees anything, and keeps small objects in memory;
//! 3. on commit, completes all objects, swaps the manifest, and deletes the objects that are no longer listed.
//!
//! A reader of the manifest sees the old folder or the new one. Whoever lists the objects sees both between the first and the last object of
//! step 3, and after a kill within it until the next run. No name is used twice, so no object is ever deleted that somebody else writes.
//!
//! A single object ([`single`]) is completed under the condition that what was there is still there.

mod buckets;
mod folder;
mod manifest;
mod place;
mod single;
mod sink;
mod staging;
mod transaction;

pub(crate) use buckets::Buckets;
pub(crate) use sink::ObjectsSink;
