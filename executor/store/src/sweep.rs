//! Files and folders that are kept under a name, when nothing needs them any more.

use std::fs;

use crate::error::io_at;
use crate::files::usage_of;
use crate::gc::Decision;
use crate::{Area, Store, StoreError};

/// What garbage collection removed of an area, or would remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Names of what stays.
    pub kept: Vec<String>,
    /// Names of what was removed.
    pub removed: Vec<String>,
    /// Bytes of the files removed.
    pub bytes: u64,
}

impl Decision<'_> {
    /// Takes out what an area holds, but for the names to keep.
    ///
    /// # Errors
    /// If a file can't be renamed.
    pub fn area(&mut self, area: Area, keep: impl Fn(&str) -> bool) -> Result<Swept, StoreError> {
        let folder = Store::area(self.collection.store().dir(), area);
        let mut swept = Swept::default();
        // A store that an earlier flowc made lacks areas that came later. One that is a link is shared with other stores, whose
        // needs are not known here.
        if !fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir()) {
            return Ok(swept);
        }
        for entry in fs::read_dir(&folder).map_err(io_at("read", &folder))? {
            let entry = entry.map_err(io_at("read", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if keep(&name) {
                swept.kept.push(name);
                continue;
            }
            swept.bytes += usage_of(&entry.path()).bytes;
            swept.removed.push(name);
            self.take_out(&entry.path())?;
        }
        Ok(swept)
    }
}
