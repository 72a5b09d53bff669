//! Platform calls: file stamps, durable writes, atomic exchanges, locks. What differs between systems lives here.

mod files;
mod stamp;

pub use files::{Lock, exchange, lock_exclusive, lock_shared, may_write, rename_new, sync_directory, sync_filesystem};
pub use stamp::FileStamp;
