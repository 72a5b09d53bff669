//! Delta tables as sources: a part per data file of a version.
//!
//! ```text
//! DeltaSource -> Version (flowc_delta reads the log) -> parts -> TableFile per data file (file.rs) -> ParquetFile, as for files
//! ```
//!
//! Columns are found in data files as the table maps them ([`fit`]); those that a data file lacks are null, those of partitions have the
//! value that the log says, and rows that a deletion vector names are left out. All that shapes rows is in the digests of segments, so
//! keys come from what is read: a version that adds files has the results of the others.

mod file;
mod fit;
mod source;

pub(crate) use file::{TableFile, TableRows};
pub(crate) use source::DeltaTableSource;
