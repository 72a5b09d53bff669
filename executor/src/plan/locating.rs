//! Has the code of a pipeline's stages found, and lends their kinds what that takes.

use std::collections::BTreeMap;
use std::path::Path;

use flowc_code::{Reader, Tools};
use flowc_planner::catalogue::Problem;
use flowc_planner::plan::Code;
use flowc_runner::{BuildLog, CodeContext, Keep, Located};

use crate::Observer;
use crate::plan::code::CodeReading;
use crate::runners::Runners;
use crate::runners::build_events::Compilations;

/// Locates the stages of one planning.
pub(crate) struct Locating<'a> {
    /// The kinds of stages.
    pub runners: &'a Runners,
    /// Reads their code.
    pub code: CodeReading<'a>,
    /// What the lock pins, by their references.
    pub pins: &'a BTreeMap<String, String>,
    /// Whether native builds are allowed.
    pub build: bool,
    /// Is told what this machine can't enforce.
    pub observer: &'a dyn Observer,
    /// Gets the names of the code, and hears of builds.
    pub compilations: &'a Compilations,
    /// Whether the planning was not stopped.
    pub is_wanted: &'a (dyn Fn() -> bool + Sync),
}

impl Locating<'_> {
    /// Registers the code with its kind and says what it is.
    pub(crate) fn locate(&self, code: &Code) -> Result<Located, Problem> {
        let located = self.runners.locate(code, self, self.observer)?;
        self.compilations.name(located.digest, code);
        Ok(located)
    }
}

impl CodeContext for Locating<'_> {
    fn base(&self) -> &Path {
        self.code.base()
    }

    fn tools(&self) -> Tools<'_> {
        Tools::new(self.runners.helper(), self.is_wanted)
    }

    fn pinned(&self, reference: &str) -> Option<&str> {
        self.pins.get(reference).map(String::as_str)
    }

    fn with_reader(&self, folder: &Path, keep: Keep, read: &mut dyn FnMut(&Reader<'_>)) {
        self.code.read(folder, keep, read);
    }

    fn with_build(
        &self,
        code: &Code,
        build: &mut dyn FnMut(BuildLog<'_>) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        if !self.build {
            let message = "it is not built, and --no-build refuses native builds";
            return Err(Problem::new(message).with_help("run once without --no-build, on a machine where you trust it"));
        }
        let name = code.to_string();
        if let Some(problem) = self.compilations.failure(&name) {
            return Err(problem);
        }
        let built = self.compilations.built(name.clone(), build);
        built.map_err(|problem| self.compilations.failed(name, problem))
    }
}
