//! In place of programs that serve stages, in a flowc that was built without the feature `processes`.

use std::sync::Arc;

use flowc_sandbox::Helper;
use flowc_store::Store;
use flowc_wasm::WasmRunner;

use crate::runners::components::Elsewhere;
use crate::{Error, Options};

/// There are none.
pub(super) struct Programs;

impl Programs {
    /// # Errors
    /// None.
    pub(super) fn new(_: &Store, _: Helper) -> Result<Self, Error> {
        Ok(Self)
    }

    /// Components run in flowc's process alone.
    pub(super) fn elsewhere(&self, _: &Arc<WasmRunner>, _: &Options) -> Vec<Box<dyn Elsewhere>> {
        Vec::new()
    }
}
