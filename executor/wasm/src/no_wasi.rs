//! In place of the deterministic WASI, in a flowc that was built without the feature `wasi`.

use flowc_planner::catalogue::Problem;
use flowc_runner::not_built;
use wasmtime::component::Linker;

use crate::host::Host;

/// Never used.
pub(crate) const VERSION: &str = "0";

/// There is none.
pub(crate) enum Wasi {}

impl Wasi {
    /// Never called.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        match *self {}
    }
}

/// Refuses components that import it.
///
/// # Errors
/// Always.
pub(crate) fn check() -> Result<(), Problem> {
    Err(not_built("wasi"))
}

/// Adds nothing.
///
/// # Errors
/// None.
pub(crate) fn link(_: &mut Linker<Host>) -> wasmtime::Result<()> {
    Ok(())
}
