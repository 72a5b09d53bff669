//! What all files of a sink have in common.

use arrow_schema::SchemaRef;
use flowc_planner::plan::{Compression, Format, SinkSpec};

use crate::error::SinkError;
use crate::files::partition;
use crate::formats::check::resolved_compression;

/// How rows are laid out in files.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) format: Format,
    /// Resolved.
    pub(crate) compression: Compression,
    /// The stream's columns.
    pub(crate) schema: SchemaRef,
    /// The columns that the files hold.
    pub(crate) written: SchemaRef,
    /// Indices of the partition columns.
    pub(crate) partition: Vec<usize>,
}

impl Layout {
    /// The layout of a sink's files for a stream with this schema.
    pub(crate) fn new(spec: &SinkSpec, schema: SchemaRef) -> Result<Self, SinkError> {
        Ok(Self {
            format: spec.format.clone(),
            compression: resolved_compression(spec),
            written: partition::written_schema(spec, &schema)?,
            partition: partition::partition_columns(spec, &schema)?,
            schema,
        })
    }
}
