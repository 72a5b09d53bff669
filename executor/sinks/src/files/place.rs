//! Where the files of a sink lie.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flowc_platform::path_below;

use crate::error::{At, SinkError};

/// The file or folder that a sink writes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder that relative paths start from.
    base: PathBuf,
    /// As in the pipeline's text.
    pub(crate) path: String,
    /// Whether it is a folder.
    pub(crate) is_folder: bool,
}

impl Place {
    /// One file.
    pub(crate) fn of_file(base: &Path, path: &str) -> Self {
        Self { base: base.to_owned(), path: path.to_owned(), is_folder: false }
    }

    /// A folder with a file per segment.
    pub(crate) fn of_folder(base: &Path, path: &str) -> Self {
        Self { base: base.to_owned(), path: path.to_owned(), is_folder: true }
    }

    /// The file or folder, by the path of the text.
    pub(crate) fn target(&self) -> PathBuf {
        self.base.join(&self.path)
    }

    /// Where a written file lies, given where the target does.
    pub(crate) fn file(&self, target: &Path, name: &str) -> PathBuf {
        if self.is_folder { path_below(target, name) } else { target.to_owned() }
    }

    /// Where the target lies, with symbolic links followed, if it is there.
    pub(crate) fn located(&self) -> Result<PathBuf, SinkError> {
        let path = self.absolute()?;
        Ok(fs::canonicalize(&path).unwrap_or(path))
    }

    /// The same, where it can be written: what a link leads to is replaced, not the link.
    pub(crate) fn resolve(&self) -> Result<PathBuf, SinkError> {
        let path = self.absolute()?;
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(SinkError::io(&path, "reading its metadata", error)),
        };
        match self.is_folder {
            true if !metadata.is_dir() => Err(SinkError::NotADirectory { path }),
            false if metadata.is_dir() => Err(SinkError::IsDirectory { path }),
            false if !metadata.is_file() => Err(SinkError::NotAFile { path }),
            _ => fs::canonicalize(&path).at(&path, "resolving its path"),
        }
    }

    fn absolute(&self) -> Result<PathBuf, SinkError> {
        std::path::absolute(self.target()).at(&self.base, "finding the folder")
    }
}
