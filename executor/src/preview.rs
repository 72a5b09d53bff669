//! The first rows of a stream, from the store and the sources alone.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_planner::plan::{Location, Plan, StreamId};
use flowc_planner::{stored_edges, suggest};
use flowc_sinks::Stagings;
use flowc_store::Store;

use crate::files::OpenFiles;
use crate::history::RunRecord;
use crate::homes::{Home, Homes, source_home};
use crate::inventory::Inventory;
use crate::keys::{Datasets, Deriver};
use crate::known::Known;
use crate::output::Outputs;
use crate::planning::Planned;
use crate::read::Reading;
use crate::{Cancel, Error};

/// The first rows of a stream.
#[derive(Debug)]
pub struct Preview {
    /// The stream's name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// Rows, up to the number that was asked for.
    pub batches: Vec<RecordBatch>,
    /// How many rows there are in all.
    pub rows: u64,
}

impl Preview {
    /// The rows as a table with the columns' types.
    ///
    /// # Errors
    /// If a type can't be shown.
    pub fn table(&self) -> Result<String, ArrowError> {
        flowc_sinks::table(&self.schema, &self.batches, "null", true)
    }
}

/// At most `limit` rows of a sink or a stream.
///
/// # Errors
/// If there is no such output, or its rows are not to be had without running something: with what to do.
pub(crate) fn preview(planned: &Planned, store: &Store, output: &str, limit: usize) -> Result<Preview, Error> {
    let plan = planned.plan.as_ref();
    let stream = find(plan, output)?;
    let inventory = Inventory::survey(planned, store)?;
    let deriver = Deriver::new(plan);
    let mut datasets = deriver.datasets(&|producer| inventory.keys(producer));
    if plan.sources.iter().any(|source| source.spec.location == Location::Stdin) {
        add_last_run(&mut datasets, planned, store)?;
    }
    let known = Known::new(store);
    let homes = Homes { plan, inventory: &inventory, datasets: &datasets, store: &known };
    let rows = rows(homes, stream)?;
    let files = OpenFiles::new(&store.spool());
    let reading = Reading { homes, files: &files, fresh: None };
    let cancel = Cancel::new();
    let stagings = Stagings::default();
    let outputs = Outputs { reading, base: &planned.base, stagings: &stagings, threads: 1, cancel: &cancel };
    let mut batches = Vec::new();
    let mut left = limit;
    for segment in 0..homes.segments(stream) {
        if left == 0 {
            break;
        }
        outputs.each_batch(stream, segment, &mut |batch| {
            let taken = batch.num_rows().min(left);
            left -= taken;
            batches.extend((taken > 0).then(|| batch.slice(0, taken)));
            Ok(())
        })?;
    }
    Ok(Preview { name: plan.stream(stream).name.clone(), schema: plan.stream(stream).schema.clone(), batches, rows })
}

/// The stream of an output: sinks first.
fn find(plan: &Plan, output: &str) -> Result<StreamId, Error> {
    let sink = plan.sinks.iter().find(|sink| sink.name == output).map(|sink| sink.stream);
    let stream = || plan.streams.iter().position(|stream| stream.name == output).map(StreamId);
    sink.or_else(stream).ok_or_else(|| {
        let streams = plan.streams.iter().map(|stream| stream.name.as_str());
        let known: BTreeSet<&str> = streams.chain(plan.sinks.iter().map(|sink| sink.name.as_str())).collect();
        let help = suggest(output, known).map_or_else(String::new, |help| format!("; {help}"));
        Error::Request(format!("there is no sink or stream `{output}`{help}"))
    })
}

/// Standard input is not there any more. What was made of it in the last good run of this very plan has keys, though.
fn add_last_run(datasets: &mut Datasets, planned: &Planned, store: &Store) -> Result<(), Error> {
    let Some(last) = RunRecord::load(store, &planned.texts[0])? else { return Ok(()) };
    if last.plan == planned.plan.canonical() {
        for (stream, keys) in last.streams.into_iter().enumerate() {
            datasets.streams.entry(StreamId(stream)).or_insert(keys);
        }
    }
    Ok(())
}

/// How many rows a stream has, all of them at hand.
fn rows(homes: Homes<'_>, stream: StreamId) -> Result<u64, Error> {
    if has_stdin(homes.plan, stream) {
        return Err(not_kept(homes.plan, stream));
    }
    if !homes.datasets.streams.contains_key(&stream) {
        return Err(absent(homes.plan, stream));
    }
    let schema = &homes.plan.stream(stream).schema;
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let mut rows = 0;
    for segment in 0..homes.segments(stream) {
        let found = homes.locate(stream, segment, &all)?;
        if found.iter().any(Option::is_none) {
            let lost = found.iter().zip(schema.fields()).filter(|(home, _)| home.is_none());
            let lost: Vec<&str> = lost.map(|(_, field)| field.name().as_str()).collect();
            return Err(match lost.len() == all.len() {
                true => absent(homes.plan, stream),
                false => partly(homes.plan, stream, &lost),
            });
        }
        rows += match found.first() {
            Some(Some(Home::Stored(column))) => column.rows,
            _ => homes.rows(stream, segment)?.ok_or_else(|| absent(homes.plan, stream))?,
        };
    }
    Ok(rows)
}

/// Whether a column of the stream is one of standard input, unchanged and row for row: such columns are in no store.
fn has_stdin(plan: &Plan, stream: StreamId) -> bool {
    (0..plan.stream(stream).schema.fields().len()).any(|column| match source_home(plan, stream, 0, column) {
        Some(Home::Source { source, .. }) => plan.sources[source].spec.location == Location::Stdin,
        _ => false,
    })
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
