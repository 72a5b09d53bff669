//! What flowc asks before a query runs.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow_schema::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::physical_plan::displayable;
use flowc_flight::serve::{Served, ServedCode};
use flowc_planner::catalogue::{Description, Explanation, InputDescription, OutputDescription, Problem, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Class, Limits, OutputColumn, Purity, Rows, Serialization};
use flowc_sql_process::query::Query;
use serde_json::{Map, Value, json};

use crate::planning::Planned;
use crate::problems::{problems, together};
use crate::run::{SqlRunner, part_schema};
use crate::session::Room;
use crate::shape::{Run, Shape};
use crate::shaped::shaped;
use crate::stack::{deep, wait};
use crate::statement;
use crate::table::Table;

/// What runs queries.
static RUNNER: LazyLock<SqlRunner> = LazyLock::new(|| SqlRunner::default().apart_from(APART));

/// Bytes of rows from which on several threads are faster than one.
const APART: usize = 1 << 20;

/// SQL stages. The name of a stage is its query.
pub(crate) struct SqlStages;

impl Served for SqlStages {
    fn signature(&self, stage: &str) -> Result<Signature, Problem> {
        let query = query(stage)?;
        let refused = |error| together(problems(&error, &query.written, &query.tables));
        deep(|| {
            let (doc, inputs) = match &query.normal {
                Some(normal) => (normal.clone(), query.tables.clone()),
                None => {
                    let normal = statement::normal(&query.written).map_err(refused)?;
                    (normal, tables(&query).map_err(refused)?)
                }
            };
            let parameters = statement::parameters(&doc).map_err(refused)?;
            Ok(Signature {
                digest: StageDigest::new([0; 32]),
                doc,
                inputs,
                outputs: vec!["out".to_owned()],
                config_schema: config_schema(parameters.into_iter().collect()),
                purity: Purity::Sandboxed,
                runner: Default::default(),
                unenforced: None,
                chains: false,
                serializations: Serialization::ALL.to_vec(),
            })
        })
    }

    fn describe(&self, stage: &str, config: Value, inputs: Vec<SchemaRef>) -> Result<Description, Problem> {
        let query = query(stage)?;
        deep(|| {
            let tables = inputs.iter().map(|schema| Arc::new(Table::planned(schema.clone()))).collect::<Vec<_>>();
            let (planned, shape, schema) = shaped(&query, &tables, &config, &Room::default()).map_err(together)?;
            let partial = match &shape.run {
                Run::Parts { plan, .. } => Some(part_schema(&planned.context, plan, &inputs)),
                Run::Rows(_) | Run::Query { .. } => None,
            };
            let refused = |error| together(problems(&error, &query.written, &query.tables));
            let partial = partial.transpose().map_err(refused)?;
            let work = work(&planned).map_err(refused)?;
            Ok(described(&shape, &schema, partial, work))
        })
    }

    fn code(&self, _: &str, asked: &Limits) -> Result<ServedCode<'_>, Problem> {
        // Whoever started the process measures time, and ends it.
        let limits = Limits { memory: asked.memory, ..Limits::default() };
        Ok(ServedCode { runner: &*RUNNER, digest: StageDigest::new([0; 32]), limits })
    }
}

fn query(stage: &str) -> Result<Query, Problem> {
    Query::named(stage).map_err(|error| Problem::new(format!("the query can't be read: {error}")))
}

/// The tables that a query reads, of those that it may read: any, where none are named.
fn tables(query: &Query) -> Result<Vec<String>, DataFusionError> {
    let read = statement::tables(&query.written);
    if query.is_asked_for_tables() {
        return Ok(read?.into_iter().collect());
    }
    // Windows that are written wrongly are said to be when the statement is planned.
    let read = read.ok();
    let is_read = |table: &&String| read.as_ref().is_none_or(|read| read.contains(*table));
    Ok(query.tables.iter().filter(is_read).cloned().collect())
}

/// Values of parameters are plain.
fn config_schema(parameters: Vec<String>) -> Value {
    let plain = json!({"type": ["string", "integer", "number", "boolean"]});
    let properties: Map<String, Value> = parameters.iter().map(|name| (name.clone(), plain.clone())).collect();
    json!({"type": "object", "properties": properties, "required": parameters, "additionalProperties": false})
}

/// What the engine does for a plan, in lines.
fn work(planned: &Planned) -> datafusion::common::Result<String> {
    let physical = wait(planned.context.state().create_physical_plan(&planned.plan))?;
    Ok(displayable(&*physical).indent(false).to_string())
}

fn described(shape: &Shape, schema: &SchemaRef, partial: Option<SchemaRef>, work: String) -> Description {
    let (rows, columns) = match &shape.run {
        Run::Rows(rows) => {
            let column = |output| match rows.passed(output) {
                Some(column) => OutputColumn::Passed { column },
                None => OutputColumn::Written,
            };
            let kept = if rows.filters.is_empty() { Rows::Same { input: 0 } } else { Rows::Subset { input: 0 } };
            (kept, (0..rows.outputs.len()).map(column).collect())
        }
        Run::Parts { .. } | Run::Query { .. } => (Rows::New, vec![OutputColumn::Written; schema.fields().len()]),
    };
    let inputs = shape.inputs.iter().map(|input| InputDescription {
        class: input.class,
        reads: input.reads.clone(),
        keys: if input.class == Class::Keyed { input.keys.clone() } else { Vec::new() },
    });
    let outputs = vec![OutputDescription { schema: schema.clone(), rows, columns }];
    let classes = shape.inputs.iter().map(|input| input.because.clone()).collect();
    let explanation = Explanation { classes, work };
    Description { inputs: inputs.collect(), outputs, partial, parts: 1, runner: BTreeMap::new(), explanation }
}
