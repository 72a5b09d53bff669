//! In place of programs that serve stages, in a flowc that was built without the feature `processes`.

use std::path::PathBuf;
use std::sync::Arc;

use flowc_sandbox::Helper;
use flowc_wasm::WasmRunner;

use crate::Options;
use crate::runners::components::Elsewhere;

/// There are none.
pub(super) struct Programs;

impl Programs {
    pub(super) fn new(_: Helper, _: PathBuf, _: PathBuf) -> Self {
        Self
    }

    /// Components run in flowc's process alone.
    pub(super) fn elsewhere(&self, _: &Arc<WasmRunner>, _: &Options) -> Vec<Box<dyn Elsewhere>> {
        Vec::new()
    }
}
