//! The place of sinks that this flowc was built without.

use std::path::PathBuf;

use crate::error::SinkError;
use crate::sink::{Dataset, Remembered, Sink, Transaction};
use crate::state::{Intact, SinkState};

/// A sink that this build can't write. Plans are refused that have one, so nothing is written to it.
pub(crate) struct UnbuiltSink;

impl Sink for UnbuiltSink {
    fn place(&self) -> Vec<u8> {
        Vec::new()
    }

    fn result(&self, _dataset: &Dataset<'_>) -> [u8; 32] {
        [0; 32]
    }

    fn is_intact(&self, _state: &SinkState) -> Intact {
        Intact::Missing(PathBuf::new())
    }

    fn open(&self, _dataset: &Dataset<'_>, _earlier: Remembered<'_>) -> Result<Box<dyn Transaction>, SinkError> {
        Err(SinkError::Spec("this flowc was built without what writes there".to_owned()))
    }
}
