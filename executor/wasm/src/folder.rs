//! A folder of compiled components.

use std::path::PathBuf;

use flowc_platform::{is_sealed, write_sealed};

use crate::CompiledCache;

/// Keeps compiled components as files of a folder, for those who have no store.
#[derive(Clone, Debug)]
pub struct CompiledFolder(pub PathBuf);

impl CompiledCache for CompiledFolder {
    fn find(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.join(name)).filter(|path| is_sealed(path))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Option<PathBuf> {
        let path = self.0.join(name);
        write_sealed(&path, bytes).ok().map(|()| path)
    }
}
