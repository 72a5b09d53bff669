//! Standard input as a source: one part, which is read once.

use std::io;

use arrow_schema::SchemaRef;
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::SourceSpec;

use crate::error::SourceError;
use crate::files::open::OpenFile;
use crate::infer::schema::fixed_schema;
use crate::source::{Folders, Polled, Source, SourcePart};

/// The name of standard input in messages and rejects.
const NAME: &str = "standard input";

/// Standard input.
pub(crate) struct StdinSource {
    /// How its bytes are read.
    pub(crate) spec: SourceSpec,
}

impl Source for StdinSource {
    fn hash_into(&self, _hasher: &mut KeyHasher) {}

    fn is_repeatable(&self) -> bool {
        false
    }

    fn poll(&self, _known: &Polled) -> Result<Polled, SourceError> {
        let part = SourcePart { name: NAME.to_owned(), path: None, stamp: None };
        Ok(Polled { parts: vec![part], folders: None })
    }

    fn infer_schema(&self, _parts: &[SourcePart]) -> Result<SchemaRef, SourceError> {
        fixed_schema(&self.spec.format).ok_or(SourceError::ReadOnce { name: NAME })
    }

    fn open(&self, part: &SourcePart, schema: &SchemaRef, folders: &Folders) -> Result<OpenFile, SourceError> {
        OpenFile::of_reader(io::stdin(), &part.name, part.stamp, &self.spec, schema, &folders.spool)
    }
}
