//! SQL stages as the engine knows them.

use std::sync::Arc;

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::{Code, Isolate, Limits, shown_columns};
use flowc_process::{Host, PooledRunner};
use flowc_runner::{
    CodeContext, Instance, Invocation, Located, Outlet, Runner, StageError, StageFault, StageKind, foreign_code,
};

use serde::{Deserialize, Serialize};

use crate::launch::{Engine, SqlLaunch, SqlLauncher};
use crate::query::{Opening, Query};

/// Remembers what statements are, so that no program has to be started to find a stage.
pub trait StatementCache: Send + Sync {
    /// What was kept under a key.
    fn find(&self, key: &[u8; 32]) -> Option<String>;

    /// Keeps a text. What can't be kept is asked for again.
    fn keep(&self, key: &[u8; 32], text: &str);
}

/// A statement, as its text alone says.
#[derive(Serialize, Deserialize)]
struct Parsed {
    /// Without what changes nothing: comments, white space, the case of keywords.
    normal: String,
    /// Those of the given tables that it reads.
    tables: Vec<String>,
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

    /// Starts the program ahead of what it will be asked.
    fn start(&self, engine: Engine) {
        let query = Query { written: String::new(), normal: None, tables: Vec::new() };
        self.programs.prepare_to_ask(&SqlLaunch { digest: StageDigest::new([0; 32]), query, engine });
    }

    /// What the program makes of a statement.
    fn parsed(&self, written: &str, tables: &[String], engine: &Engine) -> Result<Parsed, Problem> {
        let key = hashed("flowc sql statement 2", engine, written, tables);
        if let Some(parsed) = self.cache.find(&key).and_then(|text| serde_json::from_str(&text).ok()) {
            return Ok(parsed);
        }
        let query = Query { written: written.to_owned(), normal: None, tables: tables.to_vec() };
        let asking = StageDigest::new(key);
        self.programs.add(SqlLaunch { digest: asking, query, engine: engine.clone() });
        let Signature { doc, inputs, .. } = self.programs.signature(&asking)?;
        let parsed = Parsed { normal: doc, tables: inputs };
        // Text and lists of texts can always be written.
        self.cache.keep(&key, &serde_json::to_string(&parsed).unwrap_or_default());
        Ok(parsed)
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
        let Code::Sql { statement, tables, is_output } = code else { return Err(foreign_code(code)) };
        let (engine, evidence) = Engine::find(&self.host, context, |engine| self.start(engine))?;
        let parsed = self.parsed(statement, tables, &engine)?;
        // Of several statements of a stage each has those of its tables that it reads. One alone has to read all of them.
        let tables = if *is_output { parsed.tables } else { tables.clone() };
        let digest = StageDigest::new(hashed("flowc sql 1", &engine, &parsed.normal, &tables));
        let query = Query { written: statement.clone(), normal: Some(parsed.normal), tables };
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
        let tables: Vec<SchemaRef> = invocation.inputs.iter().map(|input| shown_columns(&input.schema)).collect();
        let config = serde_json::to_string(&Opening { config, tables }).map_err(failed)?;
        self.programs.open(&Invocation { config: config.into(), ..invocation.clone() }, outlet)
    }

    fn prepare(&self, stage: &StageDigest, limits: &Limits, is_wanted: &dyn Fn() -> bool) {
        self.programs.prepare(stage, limits, is_wanted);
    }
}
