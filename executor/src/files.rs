//! Source files that are open during a run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flowc_planner::plan::Plan;
use flowc_sources::{OpenFile, SegmentReader};

use crate::Error;
use crate::inventory::Inventory;

/// Files are opened when first needed. Those that had to be unpacked, and standard input, stay open to the end of the
/// run; of the others the last few do.
pub(crate) struct OpenFiles {
    spool: PathBuf,
    open: Mutex<HashMap<(usize, usize), Arc<OpenFile>>>,
}

/// Files that stay open; enough for all threads, far from the usual limit of 1024 per process.
const KEPT: usize = 64;

impl OpenFiles {
    /// `spool` is a folder for unpacked files.
    pub(crate) fn new(spool: &Path) -> Self {
        Self { spool: spool.to_path_buf(), open: Mutex::default() }
    }

    /// Keeps a file that was opened to be scanned.
    pub(crate) fn keep(&self, source: usize, file: usize, opened: Arc<OpenFile>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= KEPT {
            open.retain(|_, file| file.is_spooled());
        }
        open.insert((source, file), opened);
    }

    /// Opens a file, or gives it as it is open already.
    pub(crate) fn get(
        &self,
        plan: &Plan,
        inventory: &Inventory,
        source: usize,
        file: usize,
    ) -> Result<Arc<OpenFile>, Error> {
        if let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&(source, file)) {
            return Ok(open.clone());
        }
        let opened = Arc::new(self.open(plan, inventory, source, file)?);
        self.keep(source, file, opened.clone());
        Ok(opened)
    }

    fn open(&self, plan: &Plan, inventory: &Inventory, source: usize, file: usize) -> Result<OpenFile, Error> {
        let (of, entry) = (&plan.sources[source], &inventory.source(source).files[file]);
        let schema = &plan.stream(of.stream).schema;
        let failed = |error: flowc_sources::SourceError| source_error(&of.name, error);
        let opened = match &entry.file {
            Some(file) => OpenFile::open(file, &of.spec, schema, &self.spool).map_err(failed)?,
            None => OpenFile::stdin(&of.spec, schema, &self.spool).map_err(failed)?,
        };
        Ok(opened)
    }

    /// Opens a file that is about to be scanned.
    pub(crate) fn open_new(
        &self,
        plan: &Plan,
        inventory: &Inventory,
        source: usize,
        file: usize,
    ) -> Result<OpenFile, Error> {
        self.open(plan, inventory, source, file)
    }

    /// Reads a segment again that was scanned earlier. A file that is no longer the one that was scanned is an error.
    pub(crate) fn read(
        &self,
        plan: &Plan,
        inventory: &Inventory,
        source: usize,
        segment: usize,
        columns: &[usize],
    ) -> Result<SegmentReader, Error> {
        let of = inventory.source(source);
        let segment = &of.segments[segment];
        let name = &plan.sources[source].name;
        let file = self.get(plan, inventory, source, segment.file)?;
        if of.files[segment.file].stamp.is_some_and(|stamp| stamp != file.stamp()) {
            let message = format!("{} changed during the run. Run again", of.files[segment.file].name());
            return Err(Error::Source { source_name: name.clone(), message, cause: None });
        }
        file.verify_unchanged().map_err(|error| source_error(name, error))?;
        file.read(&segment.scan.raw, None, columns).map_err(|error| source_error(name, error))
    }
}

/// An error of a source, with its name.
pub(crate) fn source_error(source: &str, error: flowc_sources::SourceError) -> Error {
    Error::source(source, error)
}
