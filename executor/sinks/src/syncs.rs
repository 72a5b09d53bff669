//! What has to be synced before sinks are finalized, gathered over all of them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flowc_platform::{FileStamp, sync_filesystem};

use crate::error::{At, SinkError};

/// So many folders, and twice so many files, are synced one by one. More are synced by one call for each file system, which
/// then also waits for what others write there.
const FEW: usize = 16;

/// Folders whose files are to be made durable.
#[derive(Debug, Default)]
pub struct Syncs(BTreeSet<PathBuf>);

impl Syncs {
    /// Adds the files of a folder.
    pub fn add(&mut self, folder: &Path) {
        self.0.insert(folder.to_owned());
    }

    /// Syncs them all.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn run(&self) -> Result<(), SinkError> {
        match self.few_files()? {
            Some(files) => {
                files.iter().try_for_each(|file| File::open(file).and_then(|open| open.sync_all()).at(file, "syncing"))
            }
            None => self.sync_filesystems(),
        }
    }

    /// All files, if they are few.
    fn few_files(&self) -> Result<Option<Vec<PathBuf>>, SinkError> {
        if self.0.len() > FEW {
            return Ok(None);
        }
        let mut files = Vec::new();
        for folder in &self.0 {
            for entry in fs::read_dir(folder).at(folder, "listing")? {
                files.push(entry.at(folder, "listing")?.path());
            }
        }
        files.retain(|file| file.file_name() != Some("lock".as_ref()));
        Ok((files.len() <= 2 * FEW).then_some(files))
    }

    fn sync_filesystems(&self) -> Result<(), SinkError> {
        let mut synced = BTreeSet::new();
        for folder in &self.0 {
            if synced.insert(FileStamp::of(folder).at(folder, "reading its metadata")?.device) {
                sync_filesystem(folder).at(folder, "syncing")?;
            }
        }
        Ok(())
    }
}
