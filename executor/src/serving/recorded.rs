//! The streams of a run that is recorded, as tables.

use std::path::Path;
use std::sync::Arc;

use flowc_demand::{Datasets, Segments};
use flowc_planner::key::KeyHasher;
use flowc_planner::plan::{Plan, Producer, StreamId, shown_columns};
use flowc_planner::suggest;
use flowc_serve::{Refusal, Table};
use flowc_store::Store;

use crate::Error;
use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::stream_rows::StreamRows;
use crate::inspect::show::named;
use crate::intake::inventory::{Inventory, SourceInventory};
use crate::plan::freshness::Purpose;
use crate::record::run::RunRecord;

/// A run and its tables.
pub(super) struct RecordedRun {
    id: u64,
    store: Store,
    pub(super) rows: StreamRows,
    /// As clients see them.
    tables: Vec<Table>,
    /// Where their rows are, or why they can't be had.
    places: Vec<Result<Place, String>>,
    /// What tells this run from others.
    mark: [u8; 32],
}

/// The rows of a table.
pub(super) struct Place {
    pub(super) stream: StreamId,
    pub(super) segments: Vec<usize>,
}

/// What tells a run from others: what it ran and what came of it.
fn mark(record: &RunRecord) -> [u8; 32] {
    let mut hasher = KeyHasher::new("flowc served run");
    hasher.bytes(record.plan.as_bytes()).number(record.finished).number(record.streams.len() as u64);
    for stream in &record.streams {
        hasher.digest(stream.keys.rows.as_bytes());
        for column in stream.keys.columns.iter() {
            hasher.digest(column.as_bytes());
        }
    }
    hasher.finish()
}

impl RecordedRun {
    /// Finds what a run left. From then on no garbage collection takes it while this process lives.
    ///
    /// # Errors
    /// If another version of flowc ran it, there is no output of a name that is asked for, or the store can't be read.
    pub(super) fn open(store: &Store, pipeline: &Path, record: RunRecord, outputs: &[String]) -> Result<Self, Error> {
        let plan = record.plan().ok_or_else(|| {
            Error::Request("another version of flowc ran this pipeline last: `flowc run` it again".to_owned())
        })?;
        let base = pipeline.parent().unwrap_or(Path::new("/"));
        let datasets = datasets(&record, store, pipeline, &plan);
        let inventory = inventory(&record, store, pipeline, &plan, base);
        let rows = StreamRows::new(Arc::new(plan), base, inventory, datasets);
        let (mut tables, mut places) = (Vec::new(), Vec::new());
        for (name, stream) in offered(&rows.plan, outputs)? {
            let place = found(&rows, store, stream);
            // What nobody asked for by its name is offered if it can be had.
            let place = match place {
                Err(_) if outputs.is_empty() => continue,
                other => other,
            };
            let rows_of_table = place.as_ref().map_or(0, |(_, rows)| *rows);
            let schema = shown_columns(&rows.plan.stream(stream).schema);
            tables.push(Table { name, schema, rows: rows_of_table });
            places.push(place.map(|(place, _)| place).map_err(|error| error.to_string()));
        }
        let mark = mark(&record);
        let [a, b, c, d, e, f, g, h, ..] = mark;
        let id = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Ok(Self { id, store: store.clone(), rows, tables, places, mark })
    }

    /// Whether this is the run of a record.
    pub(super) fn is_of(&self, record: &RunRecord) -> bool {
        self.mark == mark(record)
    }

    /// Refuses to begin with tables that can't be had, or with none.
    ///
    /// # Errors
    /// Why the rows of a table can't be had.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.tables.is_empty() {
            return Err(Error::Request(
                "the last run left no rows that could be offered: all streams are passed on and not kept; `cache #true` \
                 in a stage keeps those of the stage"
                    .to_owned(),
            ));
        }
        let lacking = self.places.iter().find_map(|place| place.as_ref().err());
        lacking.map_or(Ok(()), |reason| Err(Error::Request(reason.clone())))
    }

    /// A number that tells this run from others.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Its tables, as clients see them.
    pub(super) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The place of a table.
    ///
    /// # Errors
    /// Why its rows can't be had.
    pub(super) fn place(&self, table: usize) -> Result<&Place, Refusal> {
        self.places[table].as_ref().map_err(|reason| Refusal::Unavailable(reason.clone()))
    }

    /// A table by its name.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn table(&self, name: &str) -> Result<usize, Refusal> {
        self.tables.iter().position(|table| table.name == name).ok_or_else(|| {
            let help = suggest(name, self.tables.iter().map(|table| table.name.as_str()));
            let help = help.map_or_else(String::new, |help| format!("; {help}"));
            Refusal::NotFound(format!("there is no table `{name}`{help}"))
        })
    }

    /// The store that its rows are in.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }
}

/// The tables by their names: those that are named, or else all sinks, and the streams that have other names.
fn offered(plan: &Plan, outputs: &[String]) -> Result<Vec<(String, StreamId)>, Error> {
    if outputs.is_empty() {
        let sinks = plan.sinks.iter().map(|sink| (sink.name.clone(), sink.stream));
        let mut tables: Vec<(String, StreamId)> = sinks.collect();
        for (number, stream) in plan.streams.iter().enumerate() {
            let is_own = |&(stage, _): &(usize, usize)| plan.stages[stage].code.adds_marks();
            let is_hidden = plan.producing_stage(StreamId(number)).as_ref().is_some_and(is_own);
            if !is_hidden && tables.iter().all(|(name, _)| *name != stream.name) {
                tables.push((stream.name.clone(), StreamId(number)));
            }
        }
        return Ok(tables);
    }
    let mut tables: Vec<(String, StreamId)> = Vec::new();
    for output in outputs {
        let stream = named(plan, output)?.into_iter().next();
        let is_new = tables.iter().all(|(name, _)| name != output);
        tables.extend(stream.filter(|_| is_new).map(|stream| (output.clone(), stream)));
    }
    Ok(tables)
}

/// The keys of all streams as the run left them. Of a stream that the run knew nothing of, the root has no columns.
fn datasets(record: &RunRecord, store: &Store, pipeline: &Path, plan: &Plan) -> Datasets {
    let streams = plan.streams.iter().enumerate().filter_map(|(number, stream)| {
        let id = StreamId(number);
        let root = record.streams.get(number)?;
        let is_known = root.keys.columns.len() == stream.schema.fields().len();
        let segments = record.stream(store, pipeline, id).segments().filter(|_| is_known)?;
        Some((id, Segments::listed(stream.schema.fields(), segments)))
    });
    Datasets { streams: streams.collect(), ..Datasets::default() }
}

/// The sources that hold what the run read, and no more of the others than that they are there.
fn inventory(record: &RunRecord, store: &Store, pipeline: &Path, plan: &Plan, base: &Path) -> Inventory {
    let mut inventory = Inventory::default();
    for source in 0..plan.sources.len() {
        let producer = Producer::Source { source };
        let unseen = |error| Error::source(&plan.sources[source].name, error);
        let now = SourceInventory::survey_of_plan(plan, source, base, store, Purpose::Show, unseen);
        let now = now.map(|now| Inventory { sources: [(source, Arc::new(now))].into() }).unwrap_or_default();
        let keys = now.keys(producer);
        let is_same = keys.is_some() && keys == record.source_keys(store, pipeline, plan, producer);
        let known = now.sources.into_values().next().filter(|_| is_same);
        inventory.sources.insert(source, known.unwrap_or_default());
    }
    inventory
}

/// The segments of a stream and the number of their rows, all of them at hand.
fn found(rows: &StreamRows, store: &Store, stream: StreamId) -> Result<(Place, u64), Error> {
    let known = LookupCache::new(store);
    let locator = rows.locator(&known);
    let segments: Vec<usize> = (0..locator.segments(stream)).collect();
    let is_gone = |source: &usize| {
        let of = &rows.inventory.sources[source].segments;
        of.len() != segments.len()
    };
    if let Some(source) = rows.sources(stream).find(is_gone).filter(|_| !rows.is_read_once(stream)) {
        let (name, source) = (&rows.plan.stream(stream).name, &rows.plan.sources[source].name);
        return Err(Error::Request(format!(
            "columns of `{name}` are read from the source `{source}`, whose files are not those of the last good run any more; \
             run the pipeline again"
        )));
    }
    let count = rows.count(&known, stream, &segments)?;
    Ok((Place { stream, segments }, count))
}
