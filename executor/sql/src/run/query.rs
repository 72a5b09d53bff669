//! Queries that answer when all rows of the invocation are there.

use std::sync::Arc;

use arrow_array::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, Result, internal_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, SessionState};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use flowc_runner::{Batch, InputIdentity, Instance, Outlet, StageError};
use futures::StreamExt;

use crate::functions::takes_parts;
use crate::rules::{Drives, is_sortable, is_sorted, over_builds, sorted_by, sorted_by_all, with_sorted_joins};
use crate::run::described::described;
use crate::run::failure::{asked, fault, is_exhausted};
use crate::run::kept::{Kept, QueryKey};
use crate::run::parts::{aggregate, finished, merged, part};
use crate::run::ready::{Builds, Ready, ReadyQuery, Step};
use crate::session::in_partitions;
use crate::shape::Order;
use crate::stack::{deep, runtime, threads};
use crate::table::{ROW, bytes_of};

/// How often a plan is executed: its nodes take notes of each time.
const USES: usize = 500;
/// How often its inputs have to fit into the engine's memory for a query to run in partitions. These share that memory, and the engine does not
/// count all that they take: a program that takes too much is ended, and then nothing is tried again.
const SPACIOUS: usize = 8;

/// Such a query at work.
pub(super) struct QueryInstance {
    pub(super) stage: Arc<str>,
    pub(super) query: Box<ReadyQuery>,
    /// Where the query is kept, and by what it is found again.
    pub(super) kept: Arc<Kept>,
    pub(super) key: QueryKey,
    /// The input whose rows come last.
    pub(super) main: Option<usize>,
    /// Per input: what its rows are, and whether they are here.
    pub(super) identities: Vec<Option<InputIdentity>>,
    pub(super) held: Vec<bool>,
    pub(super) outlet: Box<dyn Outlet>,
}

/// How a query is executed. All ways give the same rows, and results have an order of their own, so nothing shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// All tables but the driving one are in memory, and stay there.
    Kept,
    /// Several partitions at once, in threads.
    Apart,
    /// One side of a join is in memory.
    ByHash,
    /// Both sides of a join are sorted, and spill.
    BySort,
}

/// What came of running a query.
enum Attempt {
    /// All is sent.
    Done,
    /// The query has no such form.
    None,
    /// It needs more memory than it may have. Nothing was sent.
    TooLarge(DataFusionError),
}

impl QueryInstance {
    fn failed(&self, error: &DataFusionError) -> StageError {
        let inputs = self.query.given.iter().map(|table| table.size()).sum();
        StageError::new(&*self.stage, fault(error, self.kept.memory, self.kept.refused(), inputs))
    }

    /// Runs the query. Where it does not fit into memory, first what other queries left there is let go, then it is tried in a way that
    /// takes less.
    fn run(&mut self) -> Result<(), StageError> {
        let mut too_large = None;
        for manner in [Manner::Kept, Manner::Apart, Manner::ByHash, Manner::BySort] {
            loop {
                match self.attempt(manner) {
                    Ok(Attempt::Done) => return Ok(()),
                    Ok(Attempt::None) => break,
                    Ok(Attempt::TooLarge(error)) => {
                        if manner == Manner::Apart {
                            break;
                        }
                        let others = self.kept.clear();
                        if manner == Manner::Kept {
                            self.query.builds = if others { Builds::Unknown } else { Builds::Refused };
                        }
                        if !others {
                            too_large = Some(error);
                            break;
                        }
                    }
                    Err(error) => {
                        // That a join can't be sorted is no news.
                        let first = too_large.as_ref().filter(|_| manner == Manner::BySort);
                        return Err(first.map_or(error, |first| self.failed(first)));
                    }
                }
            }
        }
        let error = too_large.unwrap_or_else(|| internal_datafusion_err!("there is no way to run it"));
        Err(self.failed(&error))
    }

    /// Runs the query, and sends what it gives. The outlet may wait for a runtime of its own, so it is called outside of this one.
    fn attempt(&mut self, manner: Manner) -> Result<Attempt, StageError> {
        let own;
        let runtime = match manner {
            Manner::Apart => match threads() {
                Some(threads) => threads,
                None => return Ok(Attempt::None),
            },
            Manner::Kept | Manner::ByHash | Manner::BySort => {
                own = runtime();
                &own
            }
        };
        let begun = runtime.block_on(self.begin(manner));
        let Some(mut batches) = begun.map_err(|error| self.failed(&error))? else { return Ok(Attempt::None) };
        let mut is_first = true;
        while let Some(batch) = asked(|| runtime.block_on(batches.next()).transpose()).transpose() {
            match batch.and_then(|batch| self.result(&batch)) {
                Ok(batch) => self.outlet.emit(0, batch)?,
                Err(error) if is_first && is_exhausted(&error) => return Ok(Attempt::TooLarge(error)),
                // Which of several mistakes threads meet first is chance; one thread always meets the same.
                Err(_) if is_first && manner == Manner::Apart => return Ok(Attempt::None),
                Err(error) => return Err(self.failed(&error)),
            }
            is_first = false;
        }
        Ok(Attempt::Done)
    }

    async fn begin(&mut self, manner: Manner) -> Result<Option<SendableRecordBatchStream>> {
        let state = match manner {
            Manner::Apart => in_partitions(&self.query.context),
            Manner::Kept | Manner::ByHash | Manner::BySort => self.query.context.state(),
        };
        let plan = self.physical(manner, &state).await?;
        plan.map(|plan| execute_stream(plan, state.task_ctx())).transpose()
    }

    async fn physical(&mut self, manner: Manner, state: &SessionState) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let plan = match manner {
            Manner::Apart => return self.apart(state).await,
            Manner::Kept => match self.over_builds().await? {
                Some(plan) => plan,
                None => return Ok(None),
            },
            Manner::ByHash => state.create_physical_plan(&self.query.plan).await?,
            Manner::BySort => with_sorted_joins(state.create_physical_plan(&self.query.plan).await?)?,
        };
        Ok(Some(match self.query.step {
            Step::All(order) => ordered(plan, order)?,
            Step::Part => part(&plan)?,
            Step::Merge => merged(&plan, self.parts().await?)?,
            Step::Finish(order) => ordered(finished(plan, &self.parts().await?)?, order)?,
        }))
    }

    /// The query in several partitions. None where it does not pay, or where a part of the rows tells nothing.
    async fn apart(&self, state: &SessionState) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Step::All(order @ (Order::Given | Order::Columns)) = self.query.step else { return Ok(None) };
        let room = &self.kept.room;
        let bytes: usize = self.query.given.iter().map(|table| table.size()).sum();
        let has_room = room.memory.is_none_or(|memory| bytes <= memory / SPACIOUS);
        if !has_room || room.apart.is_none_or(|least| bytes < least) || !takes_parts(&self.query.plan)? {
            return Ok(None);
        }
        let plan = state.create_physical_plan(&self.query.plan).await?;
        match order {
            Order::Given if !is_sorted(&plan) => Ok(None),
            order => ordered(plan, order).map(Some),
        }
    }

    /// The parts that came.
    async fn parts(&self) -> Result<Arc<dyn ExecutionPlan>> {
        self.query.given[0].scan(&self.query.context.state(), None, &[], None).await
    }

    /// The plan whose joins keep what they build of all tables but the driving one; none if there is none, or it took too much.
    async fn over_builds(&mut self) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let Builds::Plan { plan, used, .. } = &mut self.query.builds
            && *used < USES
        {
            *used += 1;
            return Ok(Some(plan.clone()));
        }
        let Some(main) = self.main.filter(|_| !matches!(self.query.builds, Builds::Refused)) else { return Ok(None) };
        let is_known = |(port, identity): (usize, &Option<InputIdentity>)| port == main || identity.is_some();
        if !self.identities.iter().enumerate().all(is_known) {
            return Ok(None);
        }
        let plan = self.query.context.state().create_physical_plan(&self.query.plan).await?;
        let driving = self.query.given[main].clone();
        let plan = over_other_tables(self.query.step, &plan, &|scan| driving.is_read_by(scan))?;
        self.query.builds = match &plan {
            Some(plan) => Builds::Plan { plan: plan.clone(), of: self.identities.clone(), used: 1 },
            None => Builds::Refused,
        };
        Ok(plan)
    }

    /// A batch of the result, in the types that were described.
    fn result(&self, batch: &RecordBatch) -> Result<Batch> {
        let is_told = |(_, field): &(usize, &Arc<arrow_schema::Field>)| field.name() != ROW;
        let schema = batch.schema();
        let columns = schema.fields().iter().enumerate().filter(is_told).map(|(at, _)| batch.column(at));
        let columns = columns
            .zip(self.query.schema.fields())
            .map(|(column, field)| Ok(Some(described(column, field.data_type())?)));
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

/// The part of a plan that is run again over other rows of the driving table, with joins that keep what they build of the others.
fn over_other_tables(
    step: Step,
    plan: &Arc<dyn ExecutionPlan>,
    drives: &Drives<'_>,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    match step {
        Step::Part => {
            let whole = aggregate(plan)?;
            let rows = over_builds(whole.input(), drives)?;
            rows.map(|rows| replace_children_if_necessary(Arc::new(whole), vec![rows])).transpose()
        }
        // Where rows have columns that can't be sorted, their order may follow from the join's.
        Step::All(Order::Driver) if plan.schema().fields().iter().all(|field| is_sortable(field.data_type())) => {
            over_builds(plan, drives)
        }
        Step::All(_) | Step::Merge | Step::Finish(_) => Ok(None),
    }
}

impl Instance for QueryInstance {
    fn holds(&self, port: usize) -> bool {
        self.held.get(port).copied().unwrap_or(false)
    }

    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.kept.make_room(bytes_of(batch.columns().iter().flatten()));
        let taken = self.query.given[port].append(batch.columns(), batch.rows());
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
        self.query.keep(&self.identities);
        let Self { kept, key, query, outlet, .. } = *self;
        kept.put(key, Ready::Query(query));
        outlet.close()
    }
}
