//! A file of this machine that is being read, and whether it is still what was opened.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use flowc_platform::FileStamp;

use crate::error::SourceError;
use crate::files::view::View;

/// A file of this machine that was opened.
pub(crate) struct Origin {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    /// Its stamp then.
    pub(crate) stamp: FileStamp,
}

impl Origin {
    /// Fails if the file is no longer what was opened: written to, cut short, replaced or deleted. `view` has its bytes.
    pub(crate) fn verify_unchanged(&self, view: &View) -> Result<(), SourceError> {
        let Self { file, path, stamp } = self;
        let now = FileStamp::of_file(file).map_err(SourceError::io(view.name(), "stat it"))?;
        if now.size < stamp.size {
            return Err(view.changed("it became shorter"));
        }
        if (now.size, now.modified_ns) != (stamp.size, stamp.modified_ns) {
            return Err(view.changed("it was written to"));
        }
        match FileStamp::of(path) {
            Ok(there) if (there.inode, there.device) == (now.inode, now.device) => Ok(()),
            Ok(_) => Err(view.changed("it was replaced by another file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(view.changed("it was deleted")),
            Err(error) => Err(SourceError::io(view.name(), "stat it")(error)),
        }
    }
}
