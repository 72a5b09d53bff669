//! The rows of a stream as they are now, from the store and the sources alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_demand::Datasets;
use flowc_planner::plan::{Plan, StreamId, shown_columns};
use flowc_planner::suggest;
use flowc_store::Store;

use crate::Error;
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::stream_rows::StreamRows;
use crate::inspect::windows::windows_of;
use crate::intake::clocks::SourceClocks;
use crate::intake::inventory::Inventory;
use crate::plan::Planned;
use crate::plan::freshness::Purpose;
use crate::record::run::RunRecord;

/// The rows of a stream, all of them at hand.
pub struct Rows<'a> {
    rows: StreamRows,
    store: &'a Store,
    stream: StreamId,
    /// Those that are shown.
    segments: Vec<usize>,
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
        let inventory = Inventory::survey(planned, store, Purpose::Show)?;
        let last = last_run(planned, store, &inventory)?;
        let of_last_run = |producer| last.as_ref()?.source_keys(store, &planned.texts[0], &plan, producer);
        let clocks = SourceClocks::new(&plan, &inventory, store, None);
        let keys = |producer| inventory.keys(producer).or_else(|| of_last_run(producer));
        let datasets = planned.deriver().datasets(&keys, &|column, kind| clocks.of(column, kind));
        clocks.finish()?;
        let is_meant = |&stream: &StreamId| key.is_none_or(|key| datasets.key(&plan, stream).as_deref() == Some(key));
        let stream = named.into_iter().find(is_meant).ok_or_else(|| changed(output))?;
        let known = LookupCache::new(store);
        let rows = StreamRows::new(plan, &planned.base, inventory, datasets);
        let segments = match window {
            Some(time) => segments_of_windows(&rows.plan, &rows.datasets, stream, time)?,
            None => (0..rows.locator(&known).segments(stream)).collect(),
        };
        let count = rows.count(&known, stream, &segments)?;
        Ok(Self { rows, store, stream, segments, count })
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.rows.plan.stream(self.stream).name
    }

    /// The stream's columns.
    pub fn schema(&self) -> SchemaRef {
        shown_columns(&self.rows.plan.stream(self.stream).schema)
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
        self.rows.each(self.store, self.stream, &self.segments, limit, |batch, _| take(&batch))
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
pub(crate) fn named(plan: &Plan, output: &str) -> Result<Vec<StreamId>, Error> {
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

/// Nothing tells what standard input held, or an object without a tag. In the last good run of this very plan the segments of such
/// sources had keys, though.
fn last_run(planned: &Planned, store: &Store, inventory: &Inventory) -> Result<Option<RunRecord>, Error> {
    let mut parts = inventory.sources.values().flat_map(|source| &source.files);
    if parts.all(|entry| entry.part.stamp.is_some()) {
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
