//! Why code can't be read or kept.

use std::io;
use std::path::{Path, PathBuf};

/// Why code can't be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// A file or folder can't be read or written.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        cause: io::Error,
    },
    /// A file is written to all the time.
    #[error("{} changes while it is read; run again when nothing writes to it, or exclude it: {EXCLUDE}", .path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// A stored copy of a file is damaged, and the file is another one by now.
    #[error("the stored copy of {} was damaged and is removed, and the file has changed meanwhile: run again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A pattern of the author's is none.
    #[error("{}: `{pattern}` is no pattern: {reason}", .manifest.display())]
    Pattern {
        /// The file with the pattern.
        manifest: PathBuf,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// How an author says what is no code.
const EXCLUDE: &str =
    "`exclude = [...]` below `[tool.flowc]` in pyproject.toml, or below `[package.metadata.flowc]` in Cargo.toml";

impl CodeError {
    /// An error with a file.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { path: path.to_owned(), cause }
    }
}
