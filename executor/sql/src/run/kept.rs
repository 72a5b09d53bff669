//! What is kept from one invocation of a query to the next: its plan, the rows of tables that are the same again, and what joins built of
//! them. It is bounded by the memory of the stage, and what was not used for the longest time goes first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::Result;
use flowc_planner::key::Phase;
use flowc_runner::Invocation;

use crate::memory::{QueryMemory, Refused, RowMemory};
use crate::run::ready::{Builds, Ready};
use crate::session::{Room, runtime};

/// The part of a query's memory that keeps rows of its inputs; the engine has the rest.
const ROWS: u64 = 4;
/// The part of the engine's memory that joins may keep between invocations.
const BUILT: usize = 2;
/// Queries that are kept at most.
const MOST: usize = 32;

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

impl Kept {
    /// Nothing is kept yet.
    ///
    /// # Errors
    /// If there is no folder for what does not fit into memory.
    pub(super) fn new(memory: Option<u64>, batch_rows: Option<usize>, apart: Option<usize>) -> Result<Self> {
        let engine = memory.map(|bytes| (bytes - bytes / ROWS) as usize);
        let rows = RowMemory::new(memory.map_or(usize::MAX, |bytes| (bytes / ROWS) as usize));
        let room = Room { runtime: Some(runtime(engine)?), memory: engine, batch_rows, apart };
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
