//! SQL stages as the engine knows them.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::{Code, Isolate, Limits};
use flowc_process::{Host, PooledRunner};
use flowc_runner::{
    CodeContext, Instance, Invocation, Located, Outlet, Runner, StageError, StageFault, StageKind, foreign_code,
};

use crate::launch::{Engine, SqlLaunch, SqlLauncher};
use crate::query::{Opening, Query};

/// Remembers normal forms of statements, so that no program has to be started to find a stage.
pub trait StatementCache: Send + Sync {
    /// What was kept under a key.
    fn find(&self, key: &[u8; 32]) -> Option<String>;

    /// Keeps a statement's normal form. What can't be kept is asked for again.
    fn keep(&self, key: &[u8; 32], normal: &str);
}

/// The kind of SQL stages, and their runner.
pub struct SqlStages {
    host: Arc<Host>,
    programs: PooledRunner<SqlLauncher>,
    cache: Box<dyn StatementCache>,
}

impl SqlStages {
    /// The stages of the program beside flowc. `memory` is what a stage may have where the pipeline does not say.
    pub fn new(host: Arc<Host>, memory: u64, cache: Box<dyn StatementCache>) -> Self {
        let programs = PooledRunner::new(SqlLauncher { host: host.clone() }, memory);
        Self { host, programs, cache }
    }

    /// A statement without what changes nothing: comments, white space, the case of keywords.
    fn normal(&self, written: &str, tables: &[String], engine: &Engine) -> Result<String, Problem> {
        let key = hashed("flowc sql statement 1", engine, written, tables);
        if let Some(normal) = self.cache.find(&key) {
            return Ok(normal);
        }
        let query = Query { written: written.to_owned(), normal: None, tables: tables.to_vec() };
        let asking = StageDigest::new(key);
        self.programs.add(SqlLaunch { digest: asking, query, engine: engine.clone() });
        let normal = self.programs.signature(&asking)?.doc;
        self.cache.keep(&key, &normal);
        Ok(normal)
    }
}

fn hashed(domain: &str, engine: &Engine, statement: &str, tables: &[String]) -> [u8; 32] {
    let mut hasher = KeyHasher::new(domain);
    hasher.digest(&engine.digest).bytes(statement.as_bytes()).number(tables.len() as u64);
    for table in tables {
        hasher.bytes(table.as_bytes());
    }
    hasher.finish()
}

impl StageKind for SqlStages {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<Located, Problem> {
        let Code::Sql { statement, tables } = code else { return Err(foreign_code(code)) };
        let (engine, evidence) = Engine::find(&self.host, context)?;
        let normal = self.normal(statement, tables, &engine)?;
        let digest = StageDigest::new(hashed("flowc sql 1", &engine, &normal, tables));
        let query = Query { written: statement.clone(), normal: Some(normal), tables: tables.clone() };
        self.programs.add(SqlLaunch { digest, query, engine });
        Ok(Located::new(digest, evidence))
    }

    fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        Ok(Signature { chains: false, ..self.programs.signature(digest)? })
    }

    fn describe(&self, question: &Question) -> Result<Description, Problem> {
        self.programs.describe(question)
    }

    fn runner(&self, _: Isolate) -> &dyn Runner {
        self
    }

    fn end_idle(&self) {
        self.programs.end_idle();
    }

    fn is_sandboxed(&self) -> bool {
        true
    }
}

impl Runner for SqlStages {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let failed = |error: serde_json::Error| {
            let fault = StageFault::Contract(format!("its config can't be handed over: {error}"));
            StageError::new(&*invocation.stage, fault)
        };
        let config = serde_json::from_str(&invocation.config).map_err(failed)?;
        let tables: Vec<SchemaRef> = invocation.inputs.iter().map(|input| input.schema.clone()).collect();
        let config = serde_json::to_string(&Opening { config, tables }).map_err(failed)?;
        self.programs.open(&Invocation { config: config.into(), ..invocation.clone() }, outlet)
    }

    fn prepare(&self, stage: &StageDigest, limits: &Limits, is_wanted: &dyn Fn() -> bool) {
        self.programs.prepare(stage, limits, is_wanted);
    }
}
