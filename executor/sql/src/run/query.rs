//! Queries that answer when all rows of the invocation are there.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::SessionContext;
use flowc_runner::{Batch, Instance, Outlet, StageError};
use futures::StreamExt;

use crate::rules::{sorted_by, sorted_by_all, with_sorted_joins};
use crate::run::described::described;
use crate::run::failure::{fault, is_exhausted};
use crate::run::parts::{finished, merged, part};
use crate::shape::Order;
use crate::stack::{deep, runtime};
use crate::table::{ROW, Table};

/// Such a query at work.
pub(super) struct QueryInstance {
    pub(super) stage: Arc<str>,
    pub(super) memory: Option<u64>,
    pub(super) context: SessionContext,
    pub(super) plan: LogicalPlan,
    pub(super) step: Step,
    /// The columns of the result.
    pub(super) schema: SchemaRef,
    /// What comes in.
    pub(super) given: Vec<Arc<Table>>,
    pub(super) outlet: Box<dyn Outlet>,
}

/// What of a query is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All of it.
    All(Order),
    /// A part, of the rows of a segment.
    Part,
    /// One part of several.
    Merge,
    /// The result, of parts.
    Finish(Order),
}

/// How equal values are found in joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joins {
    /// One side is in memory.
    ByHash,
    /// Both sides are sorted, and spill.
    BySort,
}

/// What came of running a query.
enum Attempt {
    /// All is sent.
    Done,
    /// It needs more memory than it may have. Nothing was sent.
    TooLarge(DataFusionError),
}

impl QueryInstance {
    fn failed(&self, error: &DataFusionError) -> StageError {
        StageError::new(&*self.stage, fault(error, self.memory))
    }

    /// Runs the query. A join whose one side does not fit into memory is tried again by sorting both, which spills; results have an
    /// order of their own, so nothing shows it.
    fn run(&mut self) -> Result<(), StageError> {
        let first = match self.attempt(Joins::ByHash)? {
            Attempt::TooLarge(error) => error,
            Attempt::Done => return Ok(()),
        };
        match self.attempt(Joins::BySort) {
            Ok(Attempt::Done) => Ok(()),
            Ok(Attempt::TooLarge(error)) => Err(self.failed(&error)),
            Err(_) => Err(self.failed(&first)),
        }
    }

    /// Runs the query, and sends what it gives. The outlet may wait for a runtime of its own, so it is called outside of this one.
    fn attempt(&mut self, joins: Joins) -> Result<Attempt, StageError> {
        let runtime = runtime();
        let begun = runtime.block_on(async { execute_stream(self.physical(joins).await?, self.context.task_ctx()) });
        let mut batches = begun.map_err(|error| self.failed(&error))?;
        let mut is_first = true;
        while let Some(batch) = runtime.block_on(batches.next()) {
            match batch.and_then(|batch| self.result(&batch)) {
                Ok(batch) => self.outlet.emit(0, batch)?,
                Err(error) if is_first && is_exhausted(&error) => return Ok(Attempt::TooLarge(error)),
                Err(error) => return Err(self.failed(&error)),
            }
            is_first = false;
        }
        Ok(Attempt::Done)
    }

    async fn physical(&self, joins: Joins) -> Result<Arc<dyn ExecutionPlan>> {
        let state = self.context.state();
        let plan = state.create_physical_plan(&self.plan).await?;
        let plan = if joins == Joins::BySort { with_sorted_joins(plan)? } else { plan };
        match self.step {
            Step::All(order) => ordered(plan, order),
            Step::Part => part(&plan),
            Step::Merge => merged(&plan, self.given[0].scan(&state, None, &[], None).await?),
            Step::Finish(order) => {
                let parts = self.given[0].scan(&state, None, &[], None).await?;
                ordered(finished(plan, &parts)?, order)
            }
        }
    }

    /// A batch of the result, in the types that were described.
    fn result(&self, batch: &RecordBatch) -> Result<Batch> {
        let is_told = |(_, field): &(usize, &Arc<arrow_schema::Field>)| field.name() != ROW;
        let schema = batch.schema();
        let columns = schema.fields().iter().enumerate().filter(is_told).map(|(at, _)| batch.column(at));
        let columns =
            columns.zip(self.schema.fields()).map(|(column, field)| Ok(Some(described(column, field.data_type())?)));
        Ok(Batch::new(batch.num_rows(), columns.collect::<Result<Vec<_>>>()?))
    }
}

/// A plan whose rows are in this order.
fn ordered(plan: Arc<dyn ExecutionPlan>, order: Order) -> Result<Arc<dyn ExecutionPlan>> {
    match order {
        Order::Given => Ok(plan),
        Order::Columns => Ok(sorted_by_all(plan)),
        Order::Driver => {
            let number = plan.schema().index_of(ROW).map_err(|_| internal_datafusion_err!("rows have no numbers"))?;
            let number = PhysicalSortExpr::new_default(Arc::new(Column::new(ROW, number)));
            Ok(sorted_by(vec![number], plan))
        }
    }
}

impl Instance for QueryInstance {
    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        let taken = self.given[port].append(batch.columns(), batch.rows());
        taken.map_err(|error| self.failed(&error))
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.outlet.boundary()
    }

    fn end_of_input(&mut self, _: usize) -> Result<(), StageError> {
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), StageError> {
        deep(|| self.run())?;
        self.outlet.close()
    }
}
