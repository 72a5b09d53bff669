//! Why a table can't be read or written: the reason and what to do.

use delta_kernel::KernelError;
use flowc_objects::ObjectError;

/// What went wrong between flowc and a table.
#[derive(Debug, thiserror::Error)]
pub enum DeltaError {
    /// There is no log.
    #[error("there is no Delta table: it has no folder `_delta_log` with files in it; check the path")]
    NoTable,
    /// The table has no such version any more, or not yet.
    #[error("it has no version {asked}: its log has the versions {earliest} to {newest}{}", lost(*asked, *earliest))]
    NoVersion {
        /// The version that was asked for.
        asked: u64,
        /// The earliest version that the log tells.
        earliest: u64,
        /// The newest version.
        newest: u64,
    },
    /// A feature of the protocol that is not known.
    #[error("it needs what flowc does not support: {reason}")]
    Unsupported {
        /// Which, as the kernel says it.
        reason: String,
    },
    /// A table that is read, and not written.
    #[error("flowc does not write it: {reason}")]
    Unwritable {
        /// What of it.
        reason: String,
    },
    /// A file of the log is gone.
    #[error(
        "its log names `{path}`, which is not there: it was removed, as `VACUUM` removes what older versions need; read a newer version"
    )]
    Missing {
        /// Its path below the table.
        path: String,
    },
    /// A partition has a value that its column has not.
    #[error("the partition column `{column}` has the value `{value}`, which is no {expected}")]
    PartitionValue {
        /// The column.
        column: String,
        /// As in the log.
        value: String,
        /// The column's type.
        expected: String,
    },
    /// Anything that a service says.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Anything else.
    #[error("{reason}")]
    Other {
        /// What the kernel says.
        reason: String,
    },
}

/// What became of a version that is older than the log.
fn lost(asked: u64, earliest: u64) -> &'static str {
    if asked < earliest { "; older ones were cleaned up" } else { "" }
}

impl From<KernelError> for DeltaError {
    fn from(error: KernelError) -> Self {
        match error {
            KernelError::Backtraced { source, .. } => Self::from(*source),
            KernelError::FileNotFound(path) => Self::Missing { path },
            KernelError::Unsupported(reason) => Self::Unsupported { reason },
            KernelError::Generic(reason) => Self::Other { reason },
            KernelError::GenericError { source } => match source.downcast::<ObjectError>() {
                Ok(error) => Self::Object(*error),
                Err(error) => Self::Other { reason: error.to_string() },
            },
            other => Self::Other { reason: other.to_string() },
        }
    }
}
