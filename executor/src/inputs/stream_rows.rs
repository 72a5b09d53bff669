//! The rows of streams as they are stored and in sources, without running anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use flowc_demand::{Datasets, Lineage};
use flowc_planner::plan::{Plan, StreamId, shown_columns};
use flowc_planner::stored_edges;
use flowc_store::{Store, StoredMessage};

use crate::Error;
use crate::inputs::lookup::{ColumnLocation, Locator, Lookups};
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::Reading;
use crate::intake::files::OpenFiles;
use crate::intake::inventory::Inventory;

/// The streams of a plan over certain data.
pub(crate) struct StreamRows {
    pub(crate) plan: Arc<Plan>,
    pub(crate) lineage: Lineage,
    pub(crate) inventory: Inventory,
    pub(crate) datasets: Datasets,
    /// The pipeline's folder.
    pub(crate) base: PathBuf,
}

impl StreamRows {
    /// The streams of a plan over these sources and keys. Paths start from `base`.
    pub(crate) fn new(plan: Arc<Plan>, base: &Path, inventory: Inventory, datasets: Datasets) -> Self {
        let lineage = Lineage::of(&plan);
        Self { plan, lineage, inventory, datasets, base: base.to_owned() }
    }

    /// Finds the columns of the streams.
    pub(crate) fn locator<'a>(&'a self, known: &'a LookupCache<'a>) -> Locator<'a> {
        let Self { plan, lineage, inventory, datasets, .. } = self;
        Locator { plan, lineage, datasets, lookup: Lookups { store: known, inventory } }
    }

    /// The number of rows of these segments of a stream, all of them at hand.
    ///
    /// # Errors
    /// If they are not: with what to do.
    pub(crate) fn count(&self, known: &LookupCache<'_>, stream: StreamId, segments: &[usize]) -> Result<u64, Error> {
        let (plan, locator) = (&self.plan, self.locator(known));
        if self.is_read_once(stream) {
            return Err(not_kept(plan, stream));
        }
        if !self.datasets.streams.contains_key(&stream) {
            return Err(absent(plan, stream));
        }
        let schema = &shown_columns(&plan.stream(stream).schema);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let mut rows = 0;
        for &segment in segments {
            let found = locator.locate(stream, segment, &all)?;
            if found.iter().any(Option::is_none) {
                let lost = found.iter().zip(schema.fields()).filter(|(home, _)| home.is_none());
                let lost: Vec<&str> = lost.map(|(_, field)| field.name().as_str()).collect();
                return Err(match lost.len() == all.len() {
                    true => absent(plan, stream),
                    false => partly(plan, stream, &lost),
                });
            }
            rows += match found.first() {
                Some(Some(ColumnLocation::Stored(column))) => column.rows,
                _ => locator.rows(stream, segment)?.ok_or_else(|| absent(plan, stream))?,
            };
        }
        Ok(rows)
    }

    /// Hands on the first rows of these segments of a stream, batch by batch; with each batch the message that it lies in, if it lies so
    /// in the store.
    ///
    /// # Errors
    /// If they can't be read, or `take` fails.
    pub(crate) fn each<E: From<Error>>(
        &self,
        store: &Store,
        stream: StreamId,
        segments: &[usize],
        limit: u64,
        mut take: impl FnMut(RecordBatch, Option<StoredMessage>) -> Result<(), E>,
    ) -> Result<(), E> {
        let known = LookupCache::new(store);
        let files = OpenFiles::new(&self.plan, &self.base, store);
        let reading = Reading { locator: self.locator(&known), files: &files, fresh: None };
        let schema = &shown_columns(&self.plan.stream(stream).schema);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let unfit = |error: ArrowError| Error::internal("fitting stored rows to their schema")(error);
        let mut left = limit;
        for &segment in segments {
            let mut batches = reading.segment(stream, segment, &all)?;
            while let Some(batch) = batches.next().filter(|_| left > 0) {
                let batch = batch?.project(schema.clone(), &all).map_err(unfit)?;
                let rows = batch.num_rows() as u64;
                let taken = left.min(rows);
                left -= taken;
                let message = if taken == rows { batches.message() } else { None };
                take(batch.slice(0, taken as usize), message)?;
            }
            reading.verify(stream, segment, &all)?;
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Whether a column of the stream is one of a source that can't be read again, unchanged and row for row: such columns are
    /// in no store.
    pub(crate) fn is_read_once(&self, stream: StreamId) -> bool {
        let is_repeatable =
            |source: usize| flowc_sources::source(&self.plan.sources[source].spec, &self.base).is_repeatable();
        self.sources(stream).any(|source| !is_repeatable(source))
    }

    /// The sources that columns of the stream are read from, since they are passed on row for row.
    pub(crate) fn sources(&self, stream: StreamId) -> impl Iterator<Item = usize> {
        let columns = 0..self.plan.stream(stream).schema.fields().len();
        columns.filter_map(move |column| self.lineage.source_column(stream, column)).map(|home| home.source)
    }
}

fn not_kept(plan: &Plan, stream: StreamId) -> Error {
    let name = &plan.stream(stream).name;
    Error::Request(format!(
        "`{name}` has columns of standard input as they came, and those are not kept; look at the file that a sink \
         writes of it, or save the input to a file and let the source read that"
    ))
}

/// Why the rows are not there, and how to have them.
fn absent(plan: &Plan, stream: StreamId) -> Error {
    let name = &plan.stream(stream).name;
    let is_kept = stored_edges(plan)[stream.0].is_some();
    Error::Request(match plan.producing_stage(stream) {
        Some((stage, _)) if !is_kept => {
            let stage = &plan.stages[stage].name;
            format!(
                "the rows of `{name}` are passed on and not kept; `flowc run --only {stage}` keeps them this once, \
                 `cache #true` in the stage `{stage}` always"
            )
        }
        _ => format!("the rows of `{name}` are not there yet; run the pipeline first"),
    })
}

/// Some columns are there: those that something reads.
fn partly(plan: &Plan, stream: StreamId, lost: &[&str]) -> Error {
    let (name, lost) = (&plan.stream(stream).name, lost.join(", "));
    let stage = plan.producing_stage(stream).map_or(name, |(stage, _)| &plan.stages[stage].name);
    Error::Request(format!(
        "of `{name}` only what is read is kept, and nothing reads {lost}; `flowc run --only {stage}` keeps all of it"
    ))
}
