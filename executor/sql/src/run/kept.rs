//! What is kept from one invocation of a query to the next: its plan, the rows of tables that are the same again, and what joins built of
//! them. It is bounded by the memory of the stage, and what was not used for the longest time goes first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_schema::SchemaRef;
use datafusion::common::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use flowc_planner::key::Phase;
use flowc_runner::{InputIdentity, Invocation};

use crate::memory::{QueryMemory, Refused, RowMemory};
use crate::run::query::Step;
use crate::run::rows::Expressions;
use crate::session::{Room, runtime};
use crate::table::Table;

/// The part of a query's memory that keeps rows of its inputs; the engine has the rest.
const ROWS: u64 = 4;
/// The part of the engine's memory that joins may keep between invocations.
const BUILT: usize = 2;
/// Queries that are kept at most.
const MOST: usize = 64;

/// What invocations with one limit of memory share.
#[derive(Debug)]
pub(super) struct Kept {
    /// The limit.
    pub(super) memory: Option<u64>,
    pub(super) room: Room,
    pub(super) rows: Arc<RowMemory>,
    /// The one that was used last is at the end.
    queries: Mutex<Vec<(QueryKey, Ready)>>,
}

/// By what a query is the same again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueryKey {
    query: Arc<str>,
    config: Arc<str>,
    phase: Phase,
}

impl QueryKey {
    pub(super) fn of(invocation: &Invocation) -> Self {
        Self { query: invocation.stage.clone(), config: invocation.config.clone(), phase: invocation.phase }
    }
}

/// A query that can be run.
#[derive(Debug)]
pub(super) enum Ready {
    /// Row by row.
    Rows(Arc<Expressions>),
    /// When all rows are there.
    Query(Box<ReadyQuery>),
}

/// A query over tables.
pub(super) struct ReadyQuery {
    pub(super) context: SessionContext,
    pub(super) plan: LogicalPlan,
    pub(super) step: Step,
    /// The columns of the result.
    pub(super) schema: SchemaRef,
    /// What comes in.
    pub(super) given: Vec<Arc<Table>>,
    /// Per table: what rows it has from the last invocation.
    holds: Vec<Option<InputIdentity>>,
    pub(super) builds: Builds,
}

/// What joins built of the tables whose rows stay.
#[derive(Debug)]
pub(super) enum Builds {
    /// Nothing so far.
    Unknown,
    /// A plan whose joins have it after its first execution, of such inputs.
    Plan { plan: Arc<dyn ExecutionPlan>, of: Vec<Option<InputIdentity>>, used: usize },
    /// Nothing, as the plan is no such, or what was built was too large.
    Refused,
}

impl ReadyQuery {
    pub(super) fn new(
        context: SessionContext,
        plan: LogicalPlan,
        step: Step,
        schema: SchemaRef,
        given: Vec<Arc<Table>>,
    ) -> Self {
        let holds = vec![None; given.len()];
        Self { context, plan, step, schema, given, holds, builds: Builds::Unknown }
    }

    /// Keeps rows that an invocation with these inputs is to have, and lets go of all others. Says of which tables there are some.
    pub(super) fn turn_to(&mut self, identities: &[Option<InputIdentity>]) -> Vec<bool> {
        let is_held = |(has, due): (&Option<InputIdentity>, &Option<InputIdentity>)| has.is_some() && has == due;
        let held: Vec<bool> = self.holds.iter().zip(identities).map(is_held).collect();
        let others = self.given.iter().zip(&mut self.holds).zip(&held).filter(|(_, is_held)| !**is_held);
        others.for_each(|((table, holds), _)| {
            *holds = None;
            table.clear();
        });
        if matches!(&self.builds, Builds::Plan { of, .. } if of != identities) {
            self.builds = Builds::Unknown;
        }
        held
    }

    /// Keeps rows of inputs that are known, for the next invocation.
    pub(super) fn keep(&mut self, identities: &[Option<InputIdentity>]) {
        self.holds = identities.to_vec();
        self.given.iter().zip(&self.holds).filter(|(_, is)| is.is_none()).for_each(|(table, _)| table.clear());
    }
}

impl std::fmt::Debug for ReadyQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyQuery").field("step", &self.step).field("builds", &self.builds).finish_non_exhaustive()
    }
}

impl Kept {
    /// Nothing is kept yet.
    ///
    /// # Errors
    /// If there is no folder for what does not fit into memory.
    pub(super) fn new(memory: Option<u64>, batch_rows: Option<usize>) -> Result<Self> {
        let engine = memory.map(|bytes| (bytes - bytes / ROWS) as usize);
        let rows = RowMemory::new(memory.map_or(usize::MAX, |bytes| (bytes / ROWS) as usize));
        let room = Room { runtime: Some(runtime(engine)?), memory: engine, batch_rows };
        Ok(Self { memory, room, rows, queries: Mutex::default() })
    }

    /// Takes a query out, for the time in which it runs.
    pub(super) fn take(&self, key: &QueryKey) -> Option<Ready> {
        let mut queries = self.lock();
        let place = queries.iter().position(|(of, _)| of == key)?;
        Some(queries.remove(place).1)
    }

    /// Keeps a query that ran. Where joins have built more than may be kept, the oldest are let go, and last what this one built.
    pub(super) fn put(&self, key: QueryKey, ready: Ready) {
        let mut queries = self.lock();
        queries.retain(|(of, _)| *of != key);
        queries.push((key, ready));
        while queries.len() > MOST || (queries.len() > 1 && self.has_built_too_much()) {
            queries.remove(0);
        }
        if self.has_built_too_much()
            && let Some((_, Ready::Query(query))) = queries.first_mut()
        {
            query.builds = Builds::Refused;
        }
    }

    fn has_built_too_much(&self) -> bool {
        let reserved = self.room.runtime.as_ref().map_or(0, |runtime| runtime.memory_pool.reserved());
        self.room.memory.is_some_and(|bytes| reserved > bytes / BUILT)
    }

    /// Lets go of queries until so many bytes of rows have room, the oldest first.
    pub(super) fn make_room(&self, bytes: usize) {
        let mut queries = self.lock();
        while !self.rows.fits(bytes) && !queries.is_empty() {
            queries.remove(0);
        }
    }

    /// Lets go of everything. Says whether there was something.
    pub(super) fn clear(&self) -> bool {
        let queries = std::mem::take(&mut *self.lock());
        !queries.is_empty()
    }

    /// What the engine was refused last.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.room.runtime.as_ref()?.memory_pool.downcast_ref::<QueryMemory>()?.refused()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(QueryKey, Ready)>> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
