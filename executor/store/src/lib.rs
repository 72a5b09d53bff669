//! The content-addressed store: objects, results, and what was learnt about files.
//!
//! One folder:
//!
//! ```text
//! version          the format's number, as text
//! leases/<id>      what an open store relies on, one item a line; locked while it is open
//! live.lock        held shared to look something up, exclusively while garbage collection decides; `lease.rs` says how
//! gc.lock          held by the one garbage collection
//! index.sqlite     column key -> {content digest, rows, place}; rows key -> rows; tombstones; memos  (+ -wal, -shm)
//! objects/<id>     segment files: Arrow IPC, uncompressed, 64-byte aligned, read-only; small ones packed one after another; an
//!                  object's name begins with that of the lease of its writer
//! cwasm/ builds/ noop/ facts/ found/   files and folders kept under a name, see [`Area`]; files are sealed
//! tmp/             what is being written; renamed into place when complete
//! ```
//!
//! The order of a commit makes it safe under several processes and under kill -9: objects are complete before they get
//! their name, synced before the index speaks of them, and the index changes in one transaction. What a killed process
//! leaves behind is an unnamed file, which garbage collection removes. Of `cwasm/` and `builds/` it leaves what it is told to.
//!
//! What is read is checked: a segment file's structure when it is opened, each chunk of a column against its content
//! digest when it is first read in a process. Damage is an error and the result is forgotten; nothing wrong is served.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bulk;
mod damage;
mod error;
mod files;
mod folder;
mod gc;
mod group;
mod index;
mod info;
mod lease;
mod memo;
mod objects;
mod reader;
mod segment;
mod shared;
mod spill;
mod store;
mod sweep;
mod types;
mod verdict;
mod verify;
mod writer;

pub use error::StoreError;
pub use files::Usage;
pub use gc::{Collection, Decision, GcReport};
pub use info::Info;
pub use lease::{Leased, Need};
pub use memo::{Memo, Place};
pub use reader::{ColumnReader, StoredMessage};
pub use store::Store;
pub use sweep::Swept;
pub use types::{Area, Location, ObjectId, Record, StagedSegment, StoredColumn};
pub use verify::Damage;
pub use writer::SegmentWriter;

/// Version of everything in the folder.
pub const STORE_VERSION: u32 = 1;
