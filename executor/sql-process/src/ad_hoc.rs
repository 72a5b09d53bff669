//! Queries that are no stages: they come one by one, and nothing of them is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem, Question};
use flowc_planner::key::{KeyHasher, Phase, StageDigest};
use flowc_planner::plan::{Code, Limits, OutputColumn};
use flowc_process::{Host, PooledRunner, Unanswered};
use flowc_runner::{InputPort, Instance, Invocation, Outlet, OutputPort, Runner, Secrets, StageError};
use serde_json::{Value, json};

use crate::launch::{Engine, SqlLaunch, SqlLauncher};
use crate::query::{Opening, Query};

/// The name of such a query in messages.
const NAME: &str = "query";

/// Runs queries in the programs that SQL stages run in.
pub struct AdHocQueries {
    engine: Engine,
    programs: PooledRunner<SqlLauncher>,
    memory: u64,
    number: AtomicU64,
}

/// A query whose tables and columns are known.
pub struct AdHocQuery<'q> {
    queries: &'q AdHocQueries,
    registered: Registered<'q>,
    /// All columns of each table.
    tables: Vec<SchemaRef>,
    description: Description,
}

/// A query that is known to what runs it, until this is dropped.
struct Registered<'q> {
    queries: &'q AdHocQueries,
    digest: StageDigest,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.queries.programs.remove(&self.digest);
    }
}

impl AdHocQueries {
    /// Queries in the program beside flowc. Each may have so many bytes of memory.
    ///
    /// # Errors
    /// If the program is not there.
    pub fn new(host: Arc<Host>, memory: u64) -> Result<Self, Problem> {
        let engine = Engine::beside(&host)?;
        let programs = PooledRunner::new(SqlLauncher { host }, memory);
        Ok(Self { engine, programs, memory, number: AtomicU64::new(0) })
    }

    /// The names of the tables that a statement reads. Waits for so long at most.
    ///
    /// # Errors
    /// If it is no query, or takes too long.
    pub fn tables(&self, statement: &str, patience: Duration) -> Result<Vec<String>, Unanswered> {
        let query = Query { written: statement.to_owned(), normal: None, tables: Vec::new() };
        let registered = self.register(query);
        Ok(self.programs.signature_within(&registered.digest, patience)?.inputs)
    }

    /// Finds out what a statement gives, and what it reads of tables of these names and columns: all that it reads, and no others. Waits for
    /// so long at most.
    ///
    /// # Errors
    /// What is wrong with the statement, or that it takes too long.
    pub fn describe(
        &self,
        statement: &str,
        tables: Vec<(String, SchemaRef)>,
        patience: Duration,
    ) -> Result<AdHocQuery<'_>, Unanswered> {
        let (names, tables): (Vec<String>, Vec<SchemaRef>) = tables.into_iter().unzip();
        let normal = Some(statement.to_owned());
        let registered = self.register(Query { written: statement.to_owned(), normal, tables: names.clone() });
        let question = Question {
            code: Code::Sql { statement: statement.to_owned(), tables: names, is_output: false },
            digest: registered.digest,
            config: json!({}),
            inputs: tables.clone(),
        };
        let description = self.programs.describe_within(&question, patience)?;
        Ok(AdHocQuery { queries: self, registered, tables, description })
    }

    /// Ends all programs that are not at work.
    pub fn end_idle(&self) {
        self.programs.end_idle();
    }

    fn register(&self, query: Query) -> Registered<'_> {
        // Equal statements come at once, and each is forgotten by itself.
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let digest = StageDigest::new(KeyHasher::new("flowc query").number(number).finish());
        self.programs.add(SqlLaunch { digest, query, engine: self.engine.clone() });
        Registered { queries: self, digest }
    }
}

impl AdHocQuery<'_> {
    /// The columns of the result.
    pub fn schema(&self) -> SchemaRef {
        self.description
            .outputs
            .first()
            .map_or_else(|| Arc::new(arrow_schema::Schema::empty()), |out| out.schema.clone())
    }

    /// The order in which the tables are to be given, each as a whole: the one that rows are taken from one by one comes last.
    pub fn order(&self) -> Vec<usize> {
        let main = self.main_input();
        let others = (0..self.tables.len()).filter(|&table| Some(table) != main);
        others.chain(main).collect()
    }

    /// The columns of a table that are to be given, ascending.
    pub fn columns(&self, table: usize) -> Vec<usize> {
        let passed = self.description.outputs.iter().flat_map(|output| &output.columns);
        let passed = passed.filter_map(|column| match column {
            OutputColumn::Passed { column } if Some(table) == self.main_input() => Some(*column),
            _ => None,
        });
        let mut columns: Vec<usize> = passed.chain(self.description.inputs[table].reads.iter().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Begins it. It ends by itself after so many milliseconds.
    ///
    /// # Errors
    /// If the program can't be started.
    pub fn open(&self, timeout_ms: u64, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let opening = Opening { config: Value::Object(Default::default()), tables: self.tables.clone() };
        let config = serde_json::to_string(&opening).expect("it is plain data");
        let inputs = self.tables.iter().zip(&self.description.inputs);
        let inputs = inputs.map(|(schema, input)| InputPort {
            schema: schema.clone(),
            reads: input.reads.clone(),
            identity: None,
        });
        let outputs = self.description.outputs.iter().map(|output| OutputPort {
            schema: output.schema.clone(),
            rows: output.rows,
            columns: output.columns.clone(),
            needed: vec![true; output.columns.len()],
        });
        self.queries.programs.open(
            &Invocation {
                stage: NAME.into(),
                digest: self.registered.digest,
                config: config.into(),
                phase: Phase::Run,
                part: 0,
                inputs: inputs.collect(),
                main_input: self.main_input(),
                outputs: outputs.collect(),
                limits: Limits { timeout_ms: Some(timeout_ms), memory: Some(self.queries.memory), ..Limits::default() },
                secrets: Secrets::default(),
            },
            outlet,
        )
    }

    fn main_input(&self) -> Option<usize> {
        let driving = self.description.inputs.iter().position(|input| input.class.is_driving());
        driving.or(self.tables.len().checked_sub(1))
    }
}
