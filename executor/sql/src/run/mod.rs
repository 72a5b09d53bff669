//! Queries at work.

mod described;
mod failure;
mod parts;
mod query;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::Problem;
use flowc_planner::key::Phase;
use flowc_runner::{Instance, Invocation, Outlet, PerBatch, Runner, StageError, StageFault};
use flowc_sql_process::query::{Opening, Query};

pub(crate) use crate::run::parts::part_schema;
use crate::run::parts::tables_of;
use crate::run::query::{QueryInstance, Step};
use crate::run::rows::{Expressions, RowInstance};
use crate::session::Room;
use crate::shape::Run;
use crate::shaped::shaped;
use crate::stack::deep;
use crate::table::Table;

/// The part of a query's memory that keeps rows of its inputs; the engine has the rest.
const HELD: u64 = 4;

/// Opens invocations of queries.
#[derive(Debug, Default)]
pub(crate) struct SqlRunner {
    /// Rows of a batch within the engine, where they are not its own.
    pub(crate) batch_rows: Option<usize>,
}

impl Runner for SqlRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let failed = |fault| StageError::new(&*invocation.stage, fault);
        let unread = |error: serde_json::Error| failed(StageFault::Contract(format!("no query: {error}")));
        let query = Query::named(&invocation.stage).map_err(unread)?;
        let opening: Opening = serde_json::from_str(&invocation.config).map_err(unread)?;
        deep(|| self.open_query(invocation, &query, &opening, outlet)).map_err(failed)
    }
}

impl SqlRunner {
    fn open_query(
        &self,
        invocation: &Invocation,
        query: &Query,
        opening: &Opening,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageFault> {
        let memory = invocation.limits.memory;
        let room = Room { memory: memory.map(|bytes| (bytes - bytes / HELD) as usize), batch_rows: self.batch_rows };
        let held = memory.map_or(usize::MAX, |bytes| (bytes / HELD) as usize / opening.tables.len().max(1));
        let given: Vec<Arc<Table>> =
            opening.tables.iter().map(|schema| Arc::new(Table::new(schema.clone(), held))).collect();
        let tables = match invocation.phase {
            Phase::Run | Phase::Partial => given.clone(),
            Phase::Merge | Phase::Finish => {
                parted(opening)?.into_iter().map(|all| Arc::new(Table::new(all, 0))).collect()
            }
        };
        let (planned, shape, schema) = shaped(query, &tables, &opening.config, room).map_err(refused)?;
        for (table, input) in tables.iter().zip(shape.inputs) {
            table.set_reads(input.reads);
        }
        let (stage, context) = (invocation.stage.clone(), planned.context);
        let (plan, step) = match (shape.run, invocation.phase) {
            (Run::Rows(rows), _) => {
                let expressions = Expressions::new(&context, &rows, &schema)?;
                return Ok(RowInstance { stage, expressions, before: 0 }.before(outlet));
            }
            (Run::Query { plan, order }, _) => (plan, Step::All(order)),
            (Run::Parts { plan, order }, Phase::Run) => (plan, Step::All(order)),
            (Run::Parts { plan, .. }, Phase::Partial) => (plan, Step::Part),
            (Run::Parts { plan, .. }, Phase::Merge) => (plan, Step::Merge),
            (Run::Parts { plan, order }, Phase::Finish) => (plan, Step::Finish(order)),
        };
        // Columns of parts have their own names.
        let schema =
            if matches!(step, Step::Part | Step::Merge) { invocation.outputs[0].schema.clone() } else { schema };
        Ok(Box::new(QueryInstance { stage, memory, context, plan, step, schema, given, outlet }))
    }
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
