//! The place of sources that this flowc was built without.

use arrow_schema::SchemaRef;
use flowc_planner::key::KeyHasher;
#[cfg(not(feature = "kafka"))]
use flowc_planner::plan::SourceSpec;

use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::source::{Folders, Polled, Source, SourcePart};

/// A source that this build can't read. Plans are refused that have one, so nothing polls it but what looks at old plans.
pub(crate) struct UnbuiltSource;

/// The columns of a source whose text has a schema of its records: plans with one are refused.
#[cfg(not(feature = "kafka"))]
pub(crate) fn stated(_spec: &SourceSpec) -> Option<Result<SchemaRef, SourceError>> {
    None
}

/// Whether what the lock has of a source was pinned for what its text says now: no other source has a schema of records.
#[cfg(not(feature = "kafka"))]
pub(crate) fn is_pinned_for(_spec: &SourceSpec, _pinned: &SchemaRef) -> bool {
    true
}

impl Source for UnbuiltSource {
    fn hash_into(&self, _hasher: &mut KeyHasher) {}

    fn poll(&self, _known: &Polled) -> Result<Polled, SourceError> {
        Err(SourceError::unbuilt())
    }

    fn infer_schema(&self, _parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        Err(SourceError::unbuilt())
    }

    fn open(&self, _part: &SourcePart, _schema: &SchemaRef, _folders: &Folders) -> Result<OpenFile, SourceError> {
        Err(SourceError::unbuilt())
    }
}
