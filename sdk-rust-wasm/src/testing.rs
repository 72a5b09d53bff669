//! Runs a stage natively, without the engine: for an author's `cargo test`.
//!
//! The rules are the real ones: a stage gets only what it declared to read, columns cross a boundary, what it writes is
//! validated. Each record batch of an input counts as a segment.
#![allow(clippy::expect_used)]

use std::sync::Arc;

use crate::arrow::array::RecordBatch;
use crate::arrow::datatypes::SchemaRef;
use arrow_row::{Row, RowConverter, SortField};

use crate::batch::Batch;
use crate::columns::Columns;
use crate::description::{Class, Description, Output};
use crate::host::{self, Handle, pick};
use crate::outputs::Outputs;
use crate::problem::{Problem, Result, parse_config};
use crate::stage::{Opening, Phase, Stage};

/// What the stage says of this config and these inputs.
///
/// # Errors
/// What the stage finds wrong with them.
pub fn describe<S: Stage>(config: &serde_json::Value, inputs: &[SchemaRef]) -> Result<Description> {
    let schemas = inputs.iter().cloned().enumerate();
    let columns: Vec<Columns> = schemas.map(|(port, schema)| Columns { port, schema }).collect();
    S::describe(&parse_config(&config.to_string())?, &columns)?.checked()
}

/// Runs a stage over its inputs, each a list of segments of one batch (at least one, if only an empty one, for its
/// schema). Gives one record batch per output port.
///
/// # Errors
/// What the stage finds wrong, or what it does that its description does not allow.
pub fn run<S: Stage>(config: &serde_json::Value, inputs: &[Vec<RecordBatch>]) -> Result<Vec<RecordBatch>> {
    let run = Run::<S>::of(config, inputs)?;
    match &run.description.partial {
        Some(partial) => run.combine(inputs, partial),
        None => run.plain(inputs),
    }
}

/// The partial that a combining stage gives of rows. Each list of batches goes to an instance of its own, and where there are several
/// lists, what these instances give is merged by another one.
///
/// # Errors
/// As of [`run`], or that the stage does not combine.
pub fn partial<S: Stage>(config: &serde_json::Value, lists: &[Vec<RecordBatch>]) -> Result<RecordBatch> {
    let run = Run::<S>::of(config, lists.get(..1).unwrap_or_default())?;
    let schema = run.description.partial.as_ref().ok_or_else(|| Problem::new("a stage without partials"))?;
    let mut partials: Vec<RecordBatch> =
        lists.iter().map(|rows| run.partial(Phase::Partial, rows, schema)).collect::<Result<_>>()?;
    match partials.len() {
        1 => Ok(partials.remove(0)),
        _ => run.partial(Phase::Merge, &partials, schema),
    }
}

/// Groups of keys: few, and yet more than one.
const KEY_GROUPS: u64 = 3;

struct Run<S> {
    config: String,
    description: Description,
    stage: std::marker::PhantomData<S>,
}

impl<S: Stage> Run<S> {
    fn of(config: &serde_json::Value, inputs: &[Vec<RecordBatch>]) -> Result<Self> {
        let schema = |input: &Vec<RecordBatch>| input.first().map(RecordBatch::schema);
        let schemas: Option<Vec<SchemaRef>> = inputs.iter().map(schema).collect();
        let schemas = schemas.ok_or_else(|| Problem::new("each input needs a batch, if only for its schema"))?;
        let description = describe::<S>(config, &schemas)?;
        Ok(Self { config: config.to_string(), description, stage: std::marker::PhantomData })
    }

    /// One invocation per segment of a driving input, per group of keys, or per part; inputs that are whole go first.
    fn plain(&self, inputs: &[Vec<RecordBatch>]) -> Result<Vec<RecordBatch>> {
        let outputs = &self.description.outputs;
        let is = |class: Class| self.description.inputs.iter().any(|input| input.class == class);
        let driving = |port: usize| matches!(self.description.inputs[port].class, Class::RowWise | Class::PerSegment);
        let invocations = match (0..inputs.len()).find(|&port| driving(port)) {
            Some(port) => inputs[port].len() as u64,
            None if is(Class::Keyed) => KEY_GROUPS,
            None => self.description.parts,
        };
        let reads: Vec<Vec<usize>> = self.description.inputs.iter().map(|input| input.reads.clone()).collect();
        let mut emitted = Vec::new();
        for number in 0..invocations {
            let given = |(port, segments): (usize, &Vec<RecordBatch>)| match self.description.inputs[port].class {
                Class::RowWise | Class::PerSegment => Ok(vec![segments[number as usize].clone()]),
                Class::Keyed => segments.iter().map(|rows| self.of_group(port, rows, number)).collect(),
                Class::Whole | Class::Combining => Ok(segments.clone()),
            };
            let given: Vec<_> = inputs.iter().enumerate().map(given).collect::<Result<_>>()?;
            emitted.extend(self.invoke(Phase::Run, number, &given, &reads, outputs)?);
        }
        gather(emitted, outputs)
    }

    /// The rows whose key falls into a group. The engine cuts by another hash, into more groups.
    fn of_group(&self, port: usize, rows: &RecordBatch, group: u64) -> Result<RecordBatch> {
        let keys = self.description.inputs[port].keys.iter().map(|&key| crate::comparable(rows.column(key)));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
        let keys = RowConverter::new(fields)?.convert_columns(&keys)?;
        let in_group =
            |key: Row<'_>| key.as_ref().iter().map(|&byte| u64::from(byte)).sum::<u64>() % KEY_GROUPS == group;
        pick::filter(rows, keys.iter().map(in_group))
    }

    /// A partial per segment, merged in pairs, then the result.
    fn combine(&self, inputs: &[Vec<RecordBatch>], schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
        let mut partials = Vec::new();
        for segment in &inputs[0] {
            partials.push(self.partial(Phase::Partial, std::slice::from_ref(segment), schema)?);
        }
        while partials.len() > 1 {
            let pairs = partials.chunks(2);
            partials = pairs.map(|pair| self.partial(Phase::Merge, pair, schema)).collect::<Result<_>>()?;
        }
        let (outputs, all) = (&self.description.outputs, (0..schema.fields().len()).collect());
        gather(self.invoke(Phase::Finish, 0, &[partials], &[all], outputs)?, outputs)
    }

    /// The partial of some batches: of rows, or of partials.
    fn partial(&self, phase: Phase, batches: &[RecordBatch], schema: &SchemaRef) -> Result<RecordBatch> {
        let port = [Output::made(schema)];
        let reads = match phase {
            Phase::Merge => (0..schema.fields().len()).collect(),
            _ => self.description.inputs[0].reads.clone(),
        };
        let emitted = self.invoke(phase, 0, &[batches.to_vec()], &[reads], &port)?;
        gather(emitted, &port)?.pop().ok_or_else(|| Problem::new("no partial"))
    }

    fn invoke(
        &self,
        phase: Phase,
        part: u64,
        inputs: &[Vec<RecordBatch>],
        reads: &[Vec<usize>],
        outputs: &[Output],
    ) -> Result<Vec<(usize, RecordBatch)>> {
        host::start(outputs.to_vec());
        let project = |(input, reads): (&Vec<RecordBatch>, &Vec<usize>)| {
            let schema = input.first().ok_or_else(|| Problem::new("an input without a batch"))?.schema();
            Ok(Arc::new(schema.project(reads)?))
        };
        let schemas: Vec<SchemaRef> = inputs.iter().zip(reads).map(project).collect::<Result<_>>()?;
        let opening = Opening { inputs: schemas.clone(), phase, part };
        let mut stage = S::open(parse_config(&self.config)?, opening)?;
        for port in self.order(inputs.len()) {
            for batch in &inputs[port] {
                let handle = Handle::of_input(batch.clone(), port, &reads[port]);
                stage.push(port, Batch::new(handle, schemas[port].clone()), &mut Outputs::new())?;
            }
            stage.end_of_input(port, &mut Outputs::new())?;
        }
        stage.finish(&mut Outputs::new())?;
        Ok(host::emitted())
    }

    /// Ports that are whole first.
    fn order(&self, ports: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..ports).collect();
        order.sort_by_key(|&port| self.description.inputs[port].class != Class::Whole);
        order
    }
}

fn gather(emitted: Vec<(usize, RecordBatch)>, outputs: &[Output]) -> Result<Vec<RecordBatch>> {
    let port = |(port, output): (usize, &Output)| {
        let batches = emitted.iter().filter(|(p, _)| *p == port).map(|(_, batch)| batch);
        pick::concat(&output.schema(), &batches.collect::<Vec<_>>())
    };
    outputs.iter().enumerate().map(port).collect()
}

#[cfg(test)]
mod tests {
    use crate::arrow::array::Float64Array;
    use crate::prelude::*;

    /// Declares one type, and writes another.
    #[derive(serde::Deserialize, JsonSchema)]
    struct Liar {}

    impl MapColumns for Liar {
        const DOC: &'static str = "Writes another type than it declares.";

        fn describe(&self, input: &Columns) -> Result<crate::Mapping> {
            Ok(crate::Mapping::new().read(input.find("/", "n")?).write(field("n", DataType::Int64, true)))
        }

        fn map(&mut self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
            Ok(vec![Arc::new(Float64Array::from(vec![1.5; columns[0].len()]))])
        }
    }

    #[test]
    fn a_test_refuses_the_types_that_a_run_refuses() {
        let numbers: ArrayRef = Arc::new(crate::arrow::array::Int64Array::from(vec![1, 2]));
        let rows = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let problem = super::run::<crate::Map<Liar>>(&serde_json::json!({}), &[vec![rows]]).unwrap_err();
        assert_eq!(problem.message, "column `n`: declared as Int64, but given as Float64");
    }
}
