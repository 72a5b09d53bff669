//! Parts of sources that are open during a run.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use arrow_schema::DataType;
use flowc_planner::plan::{Declared, Plan, Rest, SourceSpec};
use flowc_platform::lock;
use flowc_sources::{Basis, Folders, OpenFile, SegmentReader, Source, SourceError, SourcePart};
use flowc_store::{Area, Store};

use crate::Error;
use crate::intake::inventory::Inventory;

/// Files are opened when first needed. Those that had to be unpacked, or can't be opened again, stay open to the end of the
/// run; of the others the last few do.
pub(crate) struct OpenFiles {
    /// The plan's sources, by index.
    sources: Vec<Box<dyn Source>>,
    folders: Folders,
    open: Mutex<HashMap<(usize, usize), Arc<OpenFile>>>,
}

/// Files that stay open; enough for all threads, far from the usual limit of 1024 per process.
const KEPT: usize = 64;

impl OpenFiles {
    /// Opens files of a plan's sources. `base` is the pipeline's folder; the store lends folders.
    pub(crate) fn new(plan: &Plan, base: &Path, store: &Store) -> Self {
        let area = |area| Store::area(store.dir(), area);
        let folders = Folders { spool: store.spool(), blocks: area(Area::Blocks), schemas: area(Area::Schemas) };
        let sources = plan.sources.iter().map(|source| flowc_sources::source(&source.spec, base)).collect();
        Self { sources, folders, open: Mutex::default() }
    }

    /// Why a part of a source may be read in the wrong dialect.
    pub(crate) fn doubt(&self, source: usize, part: &SourcePart) -> Option<String> {
        self.sources[source].doubt(part)
    }

    /// Keeps a file that was opened to be scanned.
    pub(crate) fn keep(&self, source: usize, file: usize, opened: Arc<OpenFile>) {
        let mut open = lock(&self.open);
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
        if let Some(open) = lock(&self.open).get(&(source, file)) {
            return Ok(open.clone());
        }
        let opened = Arc::new(self.open(plan, inventory, source, file)?);
        self.keep(source, file, opened.clone());
        Ok(opened)
    }

    /// Opens a file anew. One that is no longer what was polled is an error.
    pub(crate) fn open(
        &self,
        plan: &Plan,
        inventory: &Inventory,
        source: usize,
        file: usize,
    ) -> Result<OpenFile, Error> {
        let (of, entry) = (&plan.sources[source], &inventory.source(source).files[file]);
        let schema = &plan.stream(of.stream).schema;
        let opened = self.sources[source].open(&entry.part, schema, &self.folders);
        let opened = opened.map_err(|error| self.source_error(plan, inventory, source, error))?;
        if entry.part.stamp.is_some_and(|stamp| stamp != opened.stamp()) {
            let message = format!("{} changed during the run. Run again", entry.name());
            return Err(Error::Source { source_name: of.name.clone(), message, cause: None });
        }
        Ok(opened)
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
        let segment = &inventory.source(source).segments[segment];
        let file = self.get(plan, inventory, source, segment.file)?;
        let failed = |error: SourceError| self.source_error(plan, inventory, source, error);
        file.verify_unchanged().map_err(failed)?;
        file.read(&segment.scan.raw, None, columns).map_err(failed)
    }

    /// An error of a source, with its name and with what to do about columns that no longer are what they were.
    pub(crate) fn source_error(&self, plan: &Plan, inventory: &Inventory, source: usize, error: SourceError) -> Error {
        let (of, asked) = (&plan.sources[source], &self.sources[source]);
        let parts: Vec<SourcePart> = inventory.source(source).files.iter().map(|entry| entry.part.clone()).collect();
        let mut remedies = Vec::new();
        if let SourceError::BadRow { file: name, .. } | SourceError::MissingColumn { file: name, .. } = &error {
            let part = parts.iter().find(|part| part.name == *name);
            remedies.extend(part.and_then(|part| asked.doubt(part)));
        }
        if let Some(column) = error.column().filter(|column| is_pinned(&of.spec, column)) {
            let pinned = plan.stream(of.stream).schema.field_with_name(column).ok().map(|field| field.data_type());
            remedies.push(remedy(column, pinned, asked.basis(&parts, &error)));
        }
        if matches!(error, SourceError::BadRow { .. } | SourceError::BadRecord { .. }) {
            remedies.push("bad-rows \"skip\" leaves such rows out, bad-rows \"stream\" collects them".to_owned());
        }
        let remedies = remedies.iter().map(|remedy| format!("\n  ({remedy})")).collect::<String>();
        let message = format!("{error}{remedies}");
        Error::Source { source_name: of.name.clone(), message, cause: Some(error.into()) }
    }
}

/// What to do about an inferred column that a file does not fit. To infer it again helps only where that gives another
/// type: the files are looked at in part.
fn remedy(column: &str, pinned: Option<&DataType>, basis: Option<Basis>) -> String {
    let Some(basis) = basis.filter(|basis| basis.inferred.is_some() && basis.inferred.as_ref() == pinned) else {
        return format!(
            "the lock pins `{column}`, which was inferred: `flowc run --update` infers the columns again, \
             `schema rest=\"infer\" {{ column \"{column}\" ... }}` declares this one"
        );
    };
    let inferred = pinned.map(DataType::to_string).unwrap_or_default();
    let origin = basis.origin.map_or_else(String::new, |origin| format!(" from {origin}"));
    let inferred =
        format!("`{column}` was inferred as {inferred}{origin}, and `flowc run --update` would infer it so again");
    match basis.holds_both {
        Some(both) => {
            let both = both.to_string().replace('"', "\\\"");
            format!(
                "`schema rest=\"infer\" {{ column \"{column}\" \"{both}\" }}` declares a type that holds both: {inferred}"
            )
        }
        None => format!("{inferred}; read what differs as a source of its own"),
    }
}

/// Whether a column of a source was inferred, so that the lock says what it is.
fn is_pinned(spec: &SourceSpec, column: &str) -> bool {
    let is_declared = |declared: &Declared| declared.columns.index_of(column).is_ok();
    spec.is_inferred() && !spec.declared.as_ref().is_some_and(is_declared)
}

/// What to do where parts of a source have columns or members that it does not have; none where the text says that it is meant so.
pub(crate) fn rest_help(spec: &SourceSpec) -> Option<String> {
    let again = spec.update_words();
    match spec.declared.as_ref().map(|declared| declared.rest) {
        None if spec.is_sampled() => Some(format!(
            "`schema rest=\"infer\" {{ column ... }}` names columns beside the inferred ones; `flowc run --update` {again}"
        )),
        None => Some(format!("`flowc run --update` {again}")),
        Some(Rest::Infer) if spec.is_sampled() => Some(format!("name them in `schema`; `flowc run --update` {again}")),
        Some(Rest::Infer) => Some(format!("`flowc run --update` {again}")),
        Some(Rest::Unsaid) => {
            Some("`schema rest=\"infer\"` takes them in, `schema rest=\"drop\"` leaves them out unsaid".to_owned())
        }
        Some(Rest::Drop) => None,
    }
}
