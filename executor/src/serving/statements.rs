//! Statements over the tables of a run, by the engine of SQL stages.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Blame, Problem};
use flowc_process::{Host, Unanswered};
use flowc_runner::{Batch, Instance, Outlet, StageError, StageFault};
use flowc_sandbox::Helper;
use flowc_serve::{Piece, Refusal, Take};
use flowc_sql_process::{AdHocQueries, AdHocQuery};
use flowc_store::Store;

use crate::inputs::lookup_cache::LookupCache;
use crate::inputs::read::Reading;
use crate::intake::files::OpenFiles;
use crate::serving::recorded::{Place, RecordedRun};
use crate::serving::refusals::refusal;
use crate::{Error, Options};

/// Batches of a result that wait for who takes them.
const QUEUE: usize = 4;

/// What runs statements.
pub(super) struct Statements {
    /// None where the engine is not beside flowc: with why.
    queries: Result<AdHocQueries, Problem>,
}

impl Statements {
    /// Nothing is started until there is a statement.
    ///
    /// # Errors
    /// If flowc's own program or the store's folder can't be found.
    pub(super) fn new(store: &Store, options: &Options) -> Result<Self, Error> {
        let absolute =
            |path: &std::path::Path| std::path::absolute(path).map_err(Error::system("find the store's folder"));
        let helper = Helper::of_this_program().map_err(Error::system("find flowc's own program"))?;
        let host = Host::new(helper, absolute(&store.spool())?).with_stored_files(absolute(&store.objects())?);
        Ok(Self { queries: AdHocQueries::new(Arc::new(host), options.memory) })
    }

    /// The columns of what a statement gives, if it takes no longer than this to plan it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn describe(&self, run: &RecordedRun, statement: &str, timeout: Duration) -> Result<SchemaRef, Refusal> {
        Ok(self.planned(run, statement, &Time::from_now(timeout))?.0.schema())
    }

    /// Plans and runs a statement, for so long at most.
    ///
    /// # Errors
    /// What is wrong with it, or what it failed with.
    pub(super) fn run(
        &self,
        run: &RecordedRun,
        statement: &str,
        timeout: Duration,
        take: &mut Take<'_>,
    ) -> Result<(), Refusal> {
        let time = Time::from_now(timeout);
        let (query, tables) = self.planned(run, statement, &time)?;
        let (send, batches) = sync_channel(QUEUE);
        let outlet = Box::new(Results { schema: query.schema(), send });
        let timeout_ms = u64::try_from(time.left().as_millis()).unwrap_or(u64::MAX);
        let failed = |error| failed(error, &time);
        // The engine gives rows where it is given some, so that happens elsewhere.
        std::thread::scope(|scope| {
            let name = std::thread::Builder::new().name("flowc-query".to_owned());
            let fed = name.spawn_scoped(scope, || {
                let mut instance = query.open(timeout_ms, outlet).map_err(failed)?;
                for input in query.order() {
                    let columns = query.columns(input);
                    feed(run, run.place(tables[input])?, input, &columns, &mut *instance, &failed)?;
                }
                instance.finish().map_err(failed)
            });
            let fed = fed.map_err(|error| Refusal::Internal(format!("no thread can be started: {error}")))?;
            let is_enough = taken(batches, take).is_break();
            match fed.join() {
                // Whoever has enough does not mind how it ended.
                Ok(_) if is_enough => Ok(()),
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    fn planned(
        &self,
        run: &RecordedRun,
        statement: &str,
        time: &Time,
    ) -> Result<(AdHocQuery<'_>, Vec<usize>), Refusal> {
        let unplanned = |unanswered| match unanswered {
            Unanswered::Silent(_) => time.is_up(),
            other => refused(other.into()),
        };
        let queries = self.queries.as_ref().map_err(|problem| refused(problem.clone()))?;
        let names = queries.tables(statement, time.left()).map_err(unplanned)?;
        let tables = names.iter().map(|name| run.table(name)).collect::<Result<Vec<_>, _>>()?;
        let schemas = tables.iter().map(|&table| run.tables()[table].schema.clone());
        let named = names.iter().cloned().zip(schemas).collect();
        let query = queries.describe(statement, named, time.left()).map_err(unplanned)?;
        Ok((query, tables))
    }
}

/// What a statement may take, for planning and running.
struct Time {
    allowed: Duration,
    began: Instant,
}

impl Time {
    fn from_now(allowed: Duration) -> Self {
        Self { allowed, began: Instant::now() }
    }

    fn left(&self) -> Duration {
        self.allowed.saturating_sub(self.began.elapsed())
    }

    /// What it means that nothing is left.
    fn is_up(&self) -> Refusal {
        let milliseconds = u64::try_from(self.allowed.as_millis()).unwrap_or(u64::MAX);
        let allowed = flowc_planner::quantity::duration(milliseconds);
        Refusal::Late(format!("the statement took longer than {allowed}; flowc serve --timeout allows more"))
    }
}

/// Hands on batches until there are no more, or enough.
fn taken(batches: Receiver<RecordBatch>, take: &mut Take<'_>) -> ControlFlow<()> {
    batches.into_iter().map(Piece::Rows).try_for_each(take)
}

/// Gives a query a table.
fn feed(
    run: &RecordedRun,
    place: &Place,
    input: usize,
    columns: &[usize],
    instance: &mut dyn Instance,
    failed: &dyn Fn(StageError) -> Refusal,
) -> Result<(), Refusal> {
    let (known, rows) = (LookupCache::new(run.store()), &run.rows);
    let files = OpenFiles::new(&rows.plan, &rows.base, run.store());
    let reading = Reading { locator: rows.locator(&known), files: &files, fresh: None };
    for &segment in &place.segments {
        for batch in reading.segment(place.stream, segment, columns).map_err(refusal)? {
            instance.push(input, batch.map_err(refusal)?).map_err(failed)?;
        }
        reading.verify(place.stream, segment, columns).map_err(refusal)?;
    }
    instance.end_of_input(input).map_err(failed)
}

/// Where the rows of a result go.
struct Results {
    schema: SchemaRef,
    send: SyncSender<RecordBatch>,
}

impl Outlet for Results {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        let stopped = |why: String| StageError::new("query", StageFault::Downstream(why));
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let rows = batch.project(self.schema.clone(), &all).map_err(|error| stopped(error.to_string()))?;
        self.send.send(rows).map_err(|_| stopped("nobody wants more rows".to_owned()))
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, _: &str, message: &str) {
        tracing::debug!(message, "query");
    }
}

/// What is wrong with a statement.
fn refused(problem: Problem) -> Refusal {
    let blame = problem.blame;
    let mut messages = Vec::new();
    let mut left = vec![problem];
    while let Some(Problem { message, help, also, .. }) = left.pop() {
        messages.push(help.map_or(message.clone(), |help| format!("{message}; {help}")));
        left.extend(also.into_iter().rev());
    }
    let message = messages.join("\n");
    match blame {
        Blame::Machine => Refusal::Unavailable(message),
        Blame::Pipeline | Blame::Lock => Refusal::Invalid(message),
    }
}

/// What the engine says of a stage, in the words of a statement: there is no pipeline to change.
fn of_server(message: &str) -> String {
    let set = message.split_once("; set `memory \"").and_then(|(said, rest)| {
        let (size, rest) = rest.split_once("\"` in the stage")?;
        Some(format!("{said}; `flowc serve --memory {size}` allows more{rest}"))
    });
    set.unwrap_or_else(|| message.to_owned()).replace("the stage's limit", "the statement's limit")
}

/// What a statement failed with.
fn failed(error: StageError, time: &Time) -> Refusal {
    match error.fault {
        StageFault::Timeout { .. } => time.is_up(),
        StageFault::Memory { bytes } => Refusal::Unavailable(format!(
            "the statement needs more memory than {}; flowc serve --memory allows more",
            flowc_planner::quantity::size(bytes)
        )),
        StageFault::Problem { message, .. } => Refusal::Invalid(of_server(&message)),
        other => Refusal::Internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_what_the_server_takes() {
        let of_stage = "a join needs more memory than the stage's limit of 8MiB: at least 10MiB; set `memory \"16MiB\"` in the stage, or join by columns";
        assert_eq!(
            of_server(of_stage),
            "a join needs more memory than the statement's limit of 8MiB: at least 10MiB; `flowc serve --memory 16MiB` allows more, or join by columns"
        );
        assert_eq!(of_server("a sort of nothing"), "a sort of nothing");
    }
}
