//! Queries at work.

#[cfg(test)]
mod apart;
#[cfg(test)]
mod classes;
mod described;
mod failure;
#[cfg(test)]
mod faults;
mod kept;
mod parts;
mod query;
mod ready;
mod rows;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod values;

use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::Problem;
use flowc_planner::key::Phase;
use flowc_runner::{Instance, Invocation, Outlet, PerBatch, Runner, StageError, StageFault};
use flowc_sql_process::query::{Opening, Query};

use crate::run::failure::plain_fault;
use crate::run::kept::{Kept, QueryKey};
pub(crate) use crate::run::parts::part_schema;
use crate::run::parts::tables_of;
use crate::run::query::QueryInstance;
use crate::run::ready::{Ready, ReadyQuery, Step};
use crate::run::rows::{Expressions, RowInstance};
use crate::shape::Run;
use crate::shaped::shaped;
use crate::stack::deep;
use crate::table::Table;

/// Opens invocations of queries.
#[derive(Debug, Default)]
pub(crate) struct SqlRunner {
    /// Rows of a batch within the engine, where they are not its own.
    pub(crate) batch_rows: Option<usize>,
    apart: Option<usize>,
    kept: Mutex<Option<Arc<Kept>>>,
}

impl Runner for SqlRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        deep(|| self.open_query(invocation, outlet)).map_err(|fault| StageError::new(&*invocation.stage, fault))
    }
}

impl SqlRunner {
    /// Has queries over whole inputs run in partitions where these have so many bytes of rows.
    pub(crate) fn apart_from(self, bytes: usize) -> Self {
        Self { apart: Some(bytes), ..self }
    }

    #[cfg(test)]
    fn with_batches_of(rows: usize) -> Self {
        Self { batch_rows: Some(rows), ..Self::default() }
    }

    fn open_query(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageFault> {
        let (stage, key) = (invocation.stage.clone(), QueryKey::of(invocation));
        let kept = self.kept(invocation.limits.memory).map_err(|error| plain_fault(&error))?;
        let ready = kept.take(&key).map_or_else(|| ready(invocation, &kept), Ok)?;
        match ready {
            Ready::Rows(expressions) => {
                kept.put(key, Ready::Rows(expressions.clone()));
                Ok(RowInstance { stage, expressions, before: 0 }.before(outlet))
            }
            Ready::Query(mut query) => {
                let main = invocation.main_input;
                let inputs = invocation.inputs.iter().enumerate();
                let identities: Vec<_> =
                    inputs.map(|(port, input)| input.identity.filter(|_| Some(port) != main)).collect();
                let held = query.turn_to(&identities);
                Ok(Box::new(QueryInstance { stage, query, kept, key, main, identities, held, outlet }))
            }
        }
    }

    /// What is kept for invocations with this limit of memory. One process serves one limit.
    fn kept(&self, memory: Option<u64>) -> datafusion::common::Result<Arc<Kept>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.memory == memory) {
            return Ok(kept.clone());
        }
        Ok(kept.insert(Arc::new(Kept::new(memory, self.batch_rows, self.apart)?)).clone())
    }
}

/// Plans the query of an invocation.
fn ready(invocation: &Invocation, kept: &Kept) -> Result<Ready, StageFault> {
    let unread = |error: serde_json::Error| StageFault::Contract(format!("no query: {error}"));
    let query = Query::named(&invocation.stage).map_err(unread)?;
    let opening: Opening = serde_json::from_str(&invocation.config).map_err(unread)?;
    let table = |schema: &SchemaRef| Arc::new(Table::new(schema.clone(), kept.rows.clone()));
    let given: Vec<Arc<Table>> = opening.tables.iter().map(table).collect();
    let tables = match invocation.phase {
        Phase::Run | Phase::Partial => given.clone(),
        Phase::Merge | Phase::Finish => {
            parted(&opening)?.into_iter().map(|all| Arc::new(Table::planned(all))).collect()
        }
    };
    let (planned, shape, schema) = shaped(&query, &tables, &opening.config, &kept.room).map_err(refused)?;
    for (table, input) in tables.iter().zip(shape.inputs) {
        table.set_reads(input.reads);
    }
    let context = planned.context;
    let (plan, step) = match (shape.run, invocation.phase) {
        (Run::Rows(rows), _) => return Ok(Ready::Rows(Arc::new(Expressions::new(&context, &rows, &schema)?))),
        (Run::Query { plan, order } | Run::Parts { plan, order }, Phase::Run) => (plan, Step::All(order)),
        (Run::Query { plan, order }, _) => (plan, Step::All(order)),
        (Run::Parts { plan, .. }, Phase::Partial) => (plan, Step::Part),
        (Run::Parts { plan, .. }, Phase::Merge) => (plan, Step::Merge),
        (Run::Parts { plan, order }, Phase::Finish) => (plan, Step::Finish(order)),
    };
    // Columns of parts have their own names.
    let schema = if matches!(step, Step::Part | Step::Merge) { invocation.outputs[0].schema.clone() } else { schema };
    Ok(Ready::Query(Box::new(ReadyQuery::new(context, plan, step, schema, given))))
}

/// The columns of each table that the parts of an invocation are made of.
fn parted(opening: &Opening) -> Result<Vec<SchemaRef>, StageFault> {
    let tables = opening.tables.first().and_then(tables_of);
    tables.ok_or_else(|| StageFault::Contract("parts do not say of which tables they are".to_owned()))
}

fn refused(problems: Vec<Problem>) -> StageFault {
    let messages: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
    StageFault::Problem { message: messages.join("; "), config_path: None }
}
