//! Tables that are the same in many invocations, as kernels' buffers hold them: they are handed over, put together and hashed once.

use std::sync::{Arc, Mutex, PoisonError};

use flowc_planner::key::StageDigest;
use flowc_runner::{InputIdentity, Invocation};

use crate::table::Table;

/// Bytes of tables that are kept where the stage has no limit of memory.
const MOST: u64 = 256 << 20;

/// By what a table is the same again: what reads it, and its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableKey {
    digest: StageDigest,
    config: Arc<str>,
    identity: InputIdentity,
}

impl TableKey {
    /// Of the input of an invocation that is its table, if its rows are known.
    pub(crate) fn of(invocation: &Invocation) -> Option<Self> {
        let inputs = invocation.inputs.iter().enumerate();
        let table = inputs.filter(|(port, _)| Some(*port) != invocation.main_input).map(|(_, input)| input).next()?;
        Some(Self { digest: invocation.digest, config: invocation.config.clone(), identity: table.identity? })
    }
}

/// The tables that are kept. The one that was used last is at the end.
#[derive(Default)]
pub(crate) struct Tables(Mutex<Vec<(TableKey, Arc<Table>)>>);

impl Tables {
    /// One that is kept.
    pub(crate) fn get(&self, key: &TableKey) -> Option<Arc<Table>> {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = tables.iter().position(|(of, _)| of == key)?;
        let found = tables.remove(place);
        let table = found.1.clone();
        tables.push(found);
        Some(table)
    }

    /// Keeps one, and lets go of the oldest as far as all have more than a stage may have.
    pub(crate) fn put(&self, key: TableKey, table: Arc<Table>, memory: Option<u64>) {
        let most = memory.unwrap_or(MOST);
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|(of, _)| *of != key);
        tables.push((key, table));
        while tables.iter().map(|(_, table)| table.bytes()).sum::<u64>() > most {
            tables.remove(0);
        }
    }
}
