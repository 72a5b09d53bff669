//! The place of sources that this flowc was built without.

use arrow_schema::SchemaRef;
use flowc_planner::key::KeyHasher;

use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::source::{Folders, Polled, Source, SourcePart};

/// A source that this build can't read. Plans are refused that have one, so nothing polls it but what looks at old plans.
pub(crate) struct UnbuiltSource;

fn refusal() -> SourceError {
    SourceError::UnfitFormat { reason: "this flowc was built without what reads it".to_owned() }
}

impl Source for UnbuiltSource {
    fn hash_into(&self, _hasher: &mut KeyHasher) {}

    fn poll(&self, _known: &Polled) -> Result<Polled, SourceError> {
        Err(refusal())
    }

    fn infer_schema(&self, _parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        Err(refusal())
    }

    fn open(&self, _part: &SourcePart, _schema: &SchemaRef, _folders: &Folders) -> Result<OpenFile, SourceError> {
        Err(refusal())
    }
}
