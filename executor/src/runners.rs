//! What runs the stages of a session, by what their code is.

use std::sync::Arc;

use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Code;
use flowc_python::{Environments, Places, PythonRunner};
use flowc_runner::{ChainRunner, Runner};
use flowc_store::{Area, Store};
use flowc_wasm::WasmRunner;

use crate::Error;
use crate::compilations::{Compilations, wasm_runner};

/// One runner per kind of code.
pub(crate) struct Runners {
    /// Components.
    pub wasm: Arc<WasmRunner>,
    /// Python stages.
    pub python: PythonRunner,
    /// The packages of Python stages.
    pub environments: Environments,
}

impl Runners {
    /// Runners that keep what they make in a store.
    pub(crate) fn new(store: &Store, compilations: Arc<Compilations>) -> Result<Self, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Request(error.to_string());
        let wasm = wasm_runner(store, compilations).map_err(|error| failed(&error))?;
        let home = store.cached_file(Area::Builds, "python");
        let helper = std::env::current_exe().map_err(|error| failed(&error))?;
        let python = PythonRunner::new(Places { helper, home: home.clone(), spool: store.spool() });
        Ok(Self { wasm, python, environments: Environments { home } })
    }

    /// What runs a stage.
    pub(crate) fn of(&self, code: &Code) -> &dyn Runner {
        match code {
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => &*self.wasm,
            Code::Python { .. } => &self.python,
        }
    }

    /// What runs adjacent stages in one instance, where that is cheaper than handing batches from one to the next.
    pub(crate) fn chained(&self, code: &Code) -> Option<&dyn ChainRunner> {
        match code {
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => None,
            Code::Python { .. } => Some(&self.python),
        }
    }

    /// What a registered stage is, before any config.
    pub(crate) fn signature(&self, code: &Code, digest: &StageDigest) -> Result<Signature, Problem> {
        match code {
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => self.wasm.signature(digest),
            Code::Python { .. } => self.python.signature(digest),
        }
    }

    /// What a registered stage makes of a config and of its inputs' schemas.
    pub(crate) fn describe(&self, question: &Question) -> Result<Description, Problem> {
        match question.code {
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => self.wasm.describe(question),
            Code::Python { .. } => self.python.describe(question),
        }
    }
}
