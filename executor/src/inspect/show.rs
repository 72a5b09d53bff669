//! The rows of a stream as they are now, from the store and the sources alone.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_demand::{Datasets, Lineage};
use flowc_planner::plan::{Plan, StreamId};
use flowc_planner::{stored_edges, suggest};
use flowc_store::Store;

use crate::Error;
use crate::inputs::lookup::{ColumnLocation, Locator, Lookups};
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::Reading;
use crate::inspect::windows::windows_of;
use crate::intake::clocks::SourceClocks;
use crate::intake::files::OpenFiles;
use crate::intake::inventory::Inventory;
use crate::plan::Planned;
use crate::record::run::RunRecord;

/// The rows of a stream, all of them at hand.
pub struct Rows<'a> {
    plan: Arc<Plan>,
    lineage: Lineage,
    store: &'a Store,
    inventory: Inventory,
    datasets: Datasets,
    stream: StreamId,
    /// Those that are shown.
    segments: Vec<usize>,
    /// The pipeline's folder.
    base: PathBuf,
    /// How many there are.
    pub count: u64,
}

impl<'a> Rows<'a> {
    /// Those of a sink or a stream. With `key`, those that a run told of by it.
    ///
    /// # Errors
    /// If there is no such output, it is not as that run left it, or its rows are not to be had without running something:
    /// with what to do.
    pub(crate) fn find(
        planned: &Planned,
        store: &'a Store,
        output: &str,
        key: Option<&str>,
        window: Option<&str>,
    ) -> Result<Self, Error> {
        let plan = Arc::clone(&planned.plan);
        let named = named(&plan, output)?;
        let inventory = Inventory::survey(planned, store)?;
        let last = last_run(planned, store)?;
        let of_last_run = |producer| last.as_ref()?.source_keys(store, &planned.texts[0], &plan, producer);
        let clocks = SourceClocks::new(&plan, &inventory, store, None);
        let keys = |producer| inventory.keys(producer).or_else(|| of_last_run(producer));
        let datasets = planned.deriver().datasets(&keys, &|column, kind| clocks.of(column, kind));
        clocks.finish()?;
        let is_meant = |&stream: &StreamId| key.is_none_or(|key| datasets.key(&plan, stream).as_deref() == Some(key));
        let stream = named.into_iter().find(is_meant).ok_or_else(|| changed(output))?;
        let known = LookupCache::new(store);
        let lineage = Lineage::of(&plan);
        let lookup = Lookups { store: &known, inventory: &inventory };
        let locator = Locator { plan: &plan, lineage: &lineage, datasets: &datasets, lookup };
        let segments = match window {
            Some(time) => segments_of_windows(&plan, &datasets, stream, time)?,
            None => (0..locator.segments(stream)).collect(),
        };
        let (count, base) = (rows(planned, locator, stream, &segments)?, planned.base.clone());
        Ok(Self { plan, lineage, store, inventory, datasets, stream, segments, base, count })
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.plan.stream(self.stream).name
    }

    /// The stream's columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.plan.stream(self.stream).schema
    }

    /// Hands on the first rows, batch by batch.
    ///
    /// # Errors
    /// If they can't be read, or `take` fails.
    pub fn each<E: From<Error>>(
        &self,
        limit: u64,
        mut take: impl FnMut(&RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let known = LookupCache::new(self.store);
        let Self { plan, lineage, inventory, datasets, .. } = self;
        let locator = Locator { plan, lineage, datasets, lookup: Lookups { store: &known, inventory } };
        let files = OpenFiles::new(plan, &self.base, self.store);
        let reading = Reading { locator, files: &files, fresh: None };
        let all: Vec<usize> = (0..self.schema().fields().len()).collect();
        let unfit = |error: ArrowError| Error::internal("fitting stored rows to their schema")(error);
        let mut left = limit;
        for &segment in &self.segments {
            for batch in reading.segment(self.stream, segment, &all)? {
                if left == 0 {
                    break;
                }
                let batch = batch?.project(self.schema().clone(), &all).map_err(unfit)?;
                let taken = left.min(batch.num_rows() as u64);
                left -= taken;
                take(&batch.slice(0, taken as usize))?;
            }
            reading.verify(self.stream, segment, &all)?;
            if left == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Rows as a table with the columns' types, for people.
///
/// # Errors
/// If a type can't be shown.
pub fn table(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String, ArrowError> {
    flowc_sinks::table(schema, batches, "null", true)
}

/// The streams that an output's name may mean: that of a sink first.
fn named(plan: &Plan, output: &str) -> Result<Vec<StreamId>, Error> {
    let sink = plan.sinks.iter().find(|sink| sink.name == output).map(|sink| sink.stream);
    let stream = plan.streams.iter().position(|stream| stream.name == output).map(StreamId);
    let named: Vec<StreamId> = sink.into_iter().chain(stream).collect();
    if named.is_empty() {
        let streams = plan.streams.iter().map(|stream| stream.name.as_str());
        let known: BTreeSet<&str> = streams.chain(plan.sinks.iter().map(|sink| sink.name.as_str())).collect();
        let help = suggest(output, known).map_or_else(String::new, |help| format!("; {help}"));
        return Err(Error::Request(format!("there is no sink or stream `{output}`{help}")));
    }
    Ok(named)
}

fn changed(output: &str) -> Error {
    Error::Request(format!(
        "`{output}` is not as that run left it any more: its sources, code or config have changed since; run the \
         pipeline again"
    ))
}

/// Standard input is not there any more. In the last good run of this very plan its segments had keys, though.
fn last_run(planned: &Planned, store: &Store) -> Result<Option<RunRecord>, Error> {
    if (0..planned.plan.sources.len()).all(|source| planned.source(source).is_repeatable()) {
        return Ok(None);
    }
    let last = RunRecord::load(store, &planned.texts[0])?;
    Ok(last.filter(|last| last.plan == planned.plan.canonical()))
}

/// The segments of a stream that hold the windows that a time is in.
fn segments_of_windows(plan: &Plan, datasets: &Datasets, stream: StreamId, time: &str) -> Result<Vec<usize>, Error> {
    let Some((stage, _)) = plan.producing_stage(stream) else {
        return Err(Error::Request(format!("`{}` is a source, which has no windows", plan.stream(stream).name)));
    };
    Ok(windows_of(plan, datasets, stage, time)?.into_iter().map(|(number, _)| number).collect())
}

/// How many rows these segments of a stream have, all of them at hand.
fn rows(planned: &Planned, locator: Locator<'_>, stream: StreamId, segments: &[usize]) -> Result<u64, Error> {
    if is_read_once(planned, locator.lineage, stream) {
        return Err(not_kept(locator.plan, stream));
    }
    if !locator.datasets.streams.contains_key(&stream) {
        return Err(absent(locator.plan, stream));
    }
    let schema = &locator.plan.stream(stream).schema;
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let mut rows = 0;
    for &segment in segments {
        let found = locator.locate(stream, segment, &all)?;
        if found.iter().any(Option::is_none) {
            let lost = found.iter().zip(schema.fields()).filter(|(home, _)| home.is_none());
            let lost: Vec<&str> = lost.map(|(_, field)| field.name().as_str()).collect();
            return Err(match lost.len() == all.len() {
                true => absent(locator.plan, stream),
                false => partly(locator.plan, stream, &lost),
            });
        }
        rows += match found.first() {
            Some(Some(ColumnLocation::Stored(column))) => column.rows,
            _ => locator.rows(stream, segment)?.ok_or_else(|| absent(locator.plan, stream))?,
        };
    }
    Ok(rows)
}

/// Whether a column of the stream is one of a source that can't be read again, unchanged and row for row: such columns are
/// in no store.
fn is_read_once(planned: &Planned, lineage: &Lineage, stream: StreamId) -> bool {
    let columns = 0..planned.plan.stream(stream).schema.fields().len();
    let mut sources = columns.filter_map(|column| lineage.source_column(stream, column)).map(|home| home.source);
    sources.any(|source| !planned.source(source).is_repeatable())
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
