//! What can go wrong in a sink.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use arrow_schema::{ArrowError, DataType};

use crate::formats::misfit::Misfit;

/// A sink could not be written. What was there before is still there, whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// Columns are of types that do not fit the format.
    #[error("{} {format} can't hold; {advice}", list_columns(columns))]
    Type {
        /// All of them, with their types.
        columns: Vec<(String, DataType)>,
        /// The format's name.
        format: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The sink's settings do not go together.
    #[error("{0}")]
    Spec(String),
    /// `partition-by` names a column that can't name folders.
    #[error("`partition-by` column `{column}` {reason}")]
    Partition {
        /// The column's name.
        column: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A value does not fit the format.
    #[error("{path}: row {row}, column `{column}` can't be written: {reason}")]
    Value {
        /// The file that was being written.
        path: PathBuf,
        /// Number of the row among those that the file gets, from 1.
        row: u64,
        /// The column, at the top level.
        column: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// A batch does not have the columns that the sink was prepared for.
    #[error("{path}: a batch does not have the sink's columns: {reason}")]
    Batch {
        /// The file that was being written.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// The encoder gave up.
    #[error("{path}: {reason}")]
    Encode {
        /// The file that was being written.
        path: PathBuf,
        /// In the encoder's words.
        reason: String,
    },
    /// The disk has no room, or a quota is used up.
    #[error("{path}: the disk is full; make room or name another place, then run again")]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// The file system forbids it.
    #[error("{path}: may not be written: {source}; allow it or name another place")]
    Denied {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder lies where a file is to be written.
    #[error("{path} is a folder; name a file, or write `directory` instead of `file`")]
    IsDirectory {
        /// The folder.
        path: PathBuf,
    },
    /// Something that is neither file nor folder lies where one is to be written.
    #[error("{path} is not an ordinary file; name another place")]
    NotAFile {
        /// What lies there.
        path: PathBuf,
    },
    /// A file lies where a folder is to be.
    #[error("{path}: a file lies where a folder must be; move it away or name another place")]
    NotADirectory {
        /// The file, or a path below it.
        path: PathBuf,
    },
    /// A file that this sink did not write has a name that it needs.
    #[error("{path} was not written by this sink, and it needs that name; move the file away or name another folder")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A file that was to be kept was changed during the run.
    #[error("{path} was changed while the run was writing; run again")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A partition column has too many values.
    #[error("a segment has more than {limit} partitions; partition by columns with fewer values")]
    TooManyPartitions {
        /// The most that a segment may have.
        limit: usize,
    },
    /// A topic of Apache Kafka can't be written.
    #[error("topic `{topic}`: {reason}")]
    Topic {
        /// The topic.
        topic: String,
        /// Why, and what to do.
        reason: String,
    },
    /// An object, or a folder of objects, can't be written.
    #[error("{address}: {reason}")]
    Object {
        /// The address of the object.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A table of a database can't be written.
    #[error("table `{table}`: {reason}")]
    Table {
        /// The table's name.
        table: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Not every file was written before the commit: a fault of the caller.
    #[error("the commit was given file {job} not exactly once; this is a fault of flowc")]
    Incomplete {
        /// Index into the preparation's jobs.
        job: usize,
    },
    /// Any other failure of the file system.
    #[error("{path}: {action} failed: {source}")]
    Io {
        /// What it was about.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl SinkError {
    /// Says what a failed system call means for the user.
    pub(crate) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let path = path.to_owned();
        match source.kind() {
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => Self::DiskFull { path },
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Self::Denied { path, source },
            Kind::IsADirectory => Self::IsDirectory { path },
            Kind::NotADirectory => Self::NotADirectory { path },
            _ => Self::Io { path, action, source },
        }
    }

    /// An encoder's error: the value or the system call that is behind it, where there is one. `rows`: so many were
    /// written before the batch.
    pub(crate) fn encode(path: &Path, rows: u64, error: &(dyn Error + 'static)) -> Self {
        let path_of = || path.to_owned();
        if let Some(Misfit { row, column, reason }) = error.downcast_ref() {
            let (row, column, reason) = (rows + *row as u64 + 1, column.clone(), reason.clone());
            return Self::Value { path: path_of(), row, column, reason };
        }
        match io_cause(error) {
            Some(cause) => Self::io(path, "writing", cause),
            None => Self::Encode { path: path_of(), reason: error.to_string() },
        }
    }

    /// A batch of other columns.
    pub(crate) fn batch(path: &Path, error: &ArrowError) -> Self {
        Self::Batch { path: path.to_owned(), reason: error.to_string() }
    }
}

/// Columns with their types, as the start of a sentence.
fn list_columns(columns: &[(String, DataType)]) -> String {
    match columns {
        [(name, data_type)] => format!("column `{name}` has type {data_type}, which"),
        several => {
            let several: Vec<_> = several.iter().map(|(name, data_type)| format!("`{name}` ({data_type})")).collect();
            format!("columns {} have types that", several.join(", "))
        }
    }
}

/// The io error that an encoder's error wraps, made anew since it can't be moved out.
fn io_cause(error: &(dyn Error + 'static)) -> Option<io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(
                io.raw_os_error()
                    .map_or_else(|| io::Error::new(io.kind(), io.to_string()), io::Error::from_raw_os_error),
            );
        }
        next = error.source();
    }
    None
}

/// Gives errors of the file system their place.
pub(crate) trait At<T> {
    /// Adds the path and what was being done there.
    fn at(self, path: &Path, action: &'static str) -> Result<T, SinkError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path, action: &'static str) -> Result<T, SinkError> {
        self.map_err(|source| SinkError::io(path, action, source))
    }
}
