//! How the batches of an invocation travel.

use std::sync::Arc;

use flowc_planner::plan::Serialization;

use crate::memory::Memory;

/// What all streams of an invocation have in common.
#[derive(Clone, Default)]
pub(crate) struct Transport {
    /// What batches travel as.
    pub(crate) serialization: Serialization,
    /// Where they may lie, so that they need not travel through the socket.
    pub(crate) memory: Option<Arc<Memory>>,
}

impl Transport {
    /// Where batches may lie as they are.
    pub(crate) fn arrow_memory(&self) -> Option<&Memory> {
        self.memory.as_deref().filter(|_| self.serialization == Serialization::Arrow)
    }
}
