//! What can go wrong in the store.

use std::io;
use std::path::{Path, PathBuf};

use flowc_columns::ColumnsError;

use crate::Location;

/// A store call failed. Nothing half-written is visible afterwards.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("store: can't {action} {}: {source}", path.display())]
    Io {
        /// The operation that failed, as a verb.
        action: &'static str,
        /// The path that it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// There is no room left.
    #[error("store: the disk is full (at {}); make room, for instance with `flowc store gc`, and run again", .0.display())]
    DiskFull(PathBuf),
    /// There is no room left, not even to collect garbage.
    #[error("store: the disk is full (at {}), and to remove results takes a little room; remove something else first, or delete the store (results will be computed again)", .0.display())]
    NoRoomToCollect(PathBuf),
    /// The store may be read but not written.
    #[error("store: {} is read-only; results can be reused but not added", .0.display())]
    ReadOnly(PathBuf),
    /// Another version of flowc made it.
    #[error("store: {} has format version {found}, this flowc reads {expected}; use another folder, or delete this one (results will be computed again)", path.display())]
    Version {
        /// The store's folder.
        path: PathBuf,
        /// The version that its `version` file has.
        found: String,
        /// The version that this program reads and writes.
        expected: u32,
    },
    /// There are files, but they are not a store's.
    #[error("store: {} holds other files and is not a store; name an empty or a new folder", .0.display())]
    NotAStore(PathBuf),
    /// Stored bytes are not what was written. The results that lie there are forgotten, so the next run computes them.
    #[error("store: a result in {object} is damaged ({reason}); it is forgotten and will be computed again", object = location.object)]
    Damaged {
        /// Where they lie.
        location: Location,
        /// How that shows.
        reason: String,
    },
    /// The index can't be read or written.
    #[error("store: index {}: {source}; if this stays so, delete the store (results will be computed again)", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// Batches don't fit their schema, or can't be brought into canonical form.
    #[error("store: {0}")]
    Columns(#[from] ColumnsError),
    /// Columns that are to be read side by side have different numbers of rows.
    #[error("store: columns of {first} and {other} rows can't be read side by side")]
    Rows {
        /// Rows of the first column.
        first: u64,
        /// Rows of another one.
        other: u64,
    },
    /// A value can't be encoded.
    #[error("store: a value can't be remembered: {0}")]
    Encode(#[from] postcard::Error),
}

impl StoreError {
    /// The error as a garbage collection tells it, which is itself the advice for a full disk.
    #[must_use]
    pub fn of_collection(self) -> Self {
        match self {
            Self::DiskFull(path) => Self::NoRoomToCollect(path),
            other => other,
        }
    }

    /// Whether the fault is flowc's own: it asked for what no store can do.
    pub fn is_internal(&self) -> bool {
        match self {
            Self::Columns(error) => !error.is_of_data(),
            Self::Rows { .. } | Self::Encode(_) => true,
            Self::Io { .. }
            | Self::DiskFull(_)
            | Self::NoRoomToCollect(_)
            | Self::ReadOnly(_)
            | Self::Version { .. }
            | Self::NotAStore(_)
            | Self::Damaged { .. }
            | Self::Index { .. } => false,
        }
    }
}

impl From<arrow_schema::ArrowError> for StoreError {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Columns(error.into())
    }
}

/// Names the place of an I/O error, and tells "full" and "read-only" from the rest.
pub(crate) fn io_at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::DiskFull(path.to_owned())
        }
        io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly(path.to_owned()),
        _ => StoreError::Io { action, path: path.to_owned(), source },
    }
}

/// An error of an IPC writer: its I/O errors come wrapped.
pub(crate) fn writing(error: arrow_schema::ArrowError, path: &Path) -> StoreError {
    match error {
        arrow_schema::ArrowError::IoError(_, source) => io_at("write", path)(source),
        other => other.into(),
    }
}

/// Whether an error says that something may be read but not written.
pub(crate) fn refuses_writes(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}
