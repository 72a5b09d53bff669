//! The first rows of a stream, from the store and the sources alone.

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};
use flowc_planner::plan::{Plan, StreamId};
use flowc_planner::{stored_edges, suggest};
use flowc_sinks::Stagings;
use flowc_store::Store;

use crate::files::OpenFiles;
use crate::homes::Homes;
use crate::inventory::Inventory;
use crate::keys::Deriver;
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
    let inventory = Inventory::survey(plan, &planned.base, store)?;
    let deriver = Deriver::new(plan);
    let datasets = deriver.datasets(&|producer| inventory.keys(producer));
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
        let sinks = plan.sinks.iter().map(|sink| sink.name.as_str());
        let known = plan.streams.iter().map(|stream| stream.name.as_str()).chain(sinks);
        let help = suggest(output, known).map_or_else(String::new, |help| format!("; {help}"));
        Error::Request(format!("there is no sink or stream `{output}`{help}"))
    })
}

/// How many rows a stream has, all of them at hand.
fn rows(homes: Homes<'_>, stream: StreamId) -> Result<u64, Error> {
    if !homes.datasets.streams.contains_key(&stream) {
        return Err(absent(homes.plan, stream));
    }
    let schema = &homes.plan.stream(stream).schema;
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let mut rows = 0;
    for segment in 0..homes.segments(stream) {
        rows += homes.rows(stream, segment)?.ok_or_else(|| absent(homes.plan, stream))?;
        let found = homes.locate(stream, segment, &all)?;
        if found.iter().any(Option::is_none) {
            let lost = found.iter().zip(schema.fields()).filter(|(home, _)| home.is_none());
            let lost: Vec<&str> = lost.map(|(_, field)| field.name().as_str()).collect();
            return Err(match lost.len() == all.len() {
                true => absent(homes.plan, stream),
                false => partly(homes.plan, stream, &lost),
            });
        }
    }
    Ok(rows)
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
