//! What can be wrong with columns.

use arrow_schema::ArrowError;

/// Columns can't be taken apart or put together.
#[derive(Debug, thiserror::Error)]
pub enum ArraysError {
    /// One column is to blame.
    #[error("column `{column}`: {fault}")]
    Column {
        /// Its name.
        column: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Another number of columns than is declared.
    #[error("columns given: {given}, columns declared: {declared}")]
    Count {
        /// How many are declared.
        declared: usize,
        /// How many were given.
        given: usize,
    },
    /// More was given than the columns take.
    #[error("{count} more {what} than the columns take")]
    Leftover {
        /// Nodes, buffers or variadic counts.
        what: &'static str,
        /// How many.
        count: usize,
    },
}

/// What is wrong with a column.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The lists ended before the column did.
    #[error("there are fewer {0} than its type takes")]
    Missing(&'static str),
    /// A column of another length than its batch, or a child that does not fit its parent.
    #[error("a node has {found} values where {expected} are due")]
    Length {
        /// What the parent or the batch says.
        expected: u64,
        /// What the node says.
        found: u64,
    },
    /// No array may be that long.
    #[error("a node claims {0} values, more than a batch can hold")]
    TooLong(u64),
    /// A buffer that is not as long as its values: they are of another type.
    #[error("a buffer of {data_type} has {found} bytes where {expected} are due")]
    Buffer {
        /// The type of the values.
        data_type: String,
        /// Bytes due.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A column of another type than is declared.
    #[error("declared as {declared}, but given as {given}")]
    OtherType {
        /// The declared type.
        declared: String,
        /// The type that was given.
        given: String,
    },
    /// A value that no value of the type can be.
    #[error("{value} is no value of {data_type}: {reason}")]
    Value {
        /// The value as it is stored.
        value: String,
        /// The type.
        data_type: String,
        /// What values have to be.
        reason: &'static str,
    },
    /// A null count that its bitmap does not confirm.
    #[error("a node claims {claimed} nulls, its bitmap has {found}")]
    NullCount {
        /// What the node says.
        claimed: u64,
        /// What the bitmap says.
        found: u64,
    },
    /// Nulls where the schema has none.
    #[error("{0} nulls, but the schema says that it has none")]
    NotNullable(usize),
    /// A type that no array can have.
    #[error("the type {0} can't exist")]
    Type(String),
    /// A type that nests too deep.
    #[error("its type nests deeper than {} levels", crate::MAX_DEPTH)]
    TooDeep,
    /// Offsets, text, views, indices, type ids or run ends that break the columnar format.
    #[error("{0}")]
    Invalid(#[from] ArrowError),
}
