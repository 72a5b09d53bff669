//! Platform calls: file stamps, durable writes, atomic exchanges, locks, files and memory for other processes, processors. What differs
//! between systems lives here, and what belongs to the whole process: the hook that prints panics. Also folders of sources,
//! as seen by those who build them.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod descriptors;
mod files;
mod guard;
mod machine;
mod memory;
mod mutex;
mod owned_folder;
mod private;
mod processors;
mod region;
mod sealed;
mod secret;
mod stamp;

pub use descriptors::{receive_files, send_files};
pub use files::{
    Lock, LockFile, exchange, lock_exclusive, lock_shared, may_write, open_regular, open_without_waiting, path_below,
    read_regular, rename_new, sync_directory, sync_filesystem, write_whole,
};
pub use guard::{Panic, caught, guarded};
pub use machine::{boot, gpu_kinds, processor_kind};
pub use memory::{keep_freed_memory, memory};
pub use mutex::lock;
pub use owned_folder::{OwnedFolder, sweep_folders};
pub use private::PrivateFile;
pub use processors::processors;
pub use region::{Region, Writer};
pub use sealed::{SealedWriter, content_length, is_sealed, read_sealed, seal, unseal, write_sealed};
pub use secret::{secret_of_file, secret_of_variable};
pub use stamp::FileStamp;
