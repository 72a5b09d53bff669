//! A folder of compiled components.

use std::path::PathBuf;

use crate::CompiledCache;

/// Keeps compiled components as files of a folder, for those who have no store. A file appears when it is whole.
#[derive(Clone, Debug)]
pub struct CompiledFolder(pub PathBuf);

impl CompiledCache for CompiledFolder {
    fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.0.join(name)).filter(|path| path.exists())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Option<PathBuf> {
        let (process, thread) = (std::process::id(), std::thread::current().id());
        let (path, temporary) = (self.0.join(name), self.0.join(format!("{name}.{process}.{thread:?}.tmp")));
        std::fs::write(&temporary, bytes).ok()?;
        std::fs::rename(&temporary, &path).ok()?;
        Some(path)
    }
}
