//! What the engine lends the kinds of stages.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowc_code::Snapshots;
use flowc_store::Store;
use flowc_wasm::InstalledCode;

use crate::runners::build_events::Compilations;
use crate::runners::processes::Programs;
use crate::{Error, Options};

/// What kinds are made with.
pub(super) struct Lent<'a> {
    pub(super) store: &'a Store,
    /// Compiled components that came with the program.
    pub(super) installed: Option<InstalledCode>,
    pub(super) compilations: Arc<Compilations>,
    pub(super) options: &'a Options,
    /// Code as it was hashed.
    #[cfg_attr(not(feature = "python"), allow(dead_code, reason = "it is for kinds that run code of folders"))]
    pub(super) snapshots: Snapshots,
    pub(super) programs: Programs,
}

/// Programs that start in other folders are told of paths that begin at the root.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::system("find the store's folder"))
}
