//! Python stages as the engine knows them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Isolate};
use flowc_runner::{CodeContext, Keep, Located, Runner, StageKind, foreign_code};

use crate::{Environments, Launch, Project, PythonLauncher, PythonRunner};

/// The kind of stage that is written in Python.
pub struct PythonStages {
    runner: PythonRunner,
    /// Where snapshots lie, and what they are of.
    origins: Mutex<BTreeMap<String, String>>,
}

impl PythonStages {
    /// Stages in the processes of this launcher. `memory` is what a stage may have where the pipeline does not say.
    pub fn new(launcher: PythonLauncher, memory: u64) -> Self {
        Self { runner: PythonRunner::new(launcher, memory), origins: Mutex::default() }
    }

    fn environments(&self) -> &Environments {
        self.runner.launcher().environments()
    }

    fn note_origin(&self, project: &Project) {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let snapshot = self.environments().snapshots.place(project.tree());
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins.insert(text(&snapshot), text(&project.tree().base));
    }
}

impl StageKind for PythonStages {
    fn name(&self) -> &'static str {
        "python"
    }

    /// Packages are installed when the stage is started, which what is known of it may spare.
    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<Located, Problem> {
        let Code::Python { dir, entry } = code else { return Err(foreign_code(code)) };
        let (dir, home) = (context.base().join(dir), &self.environments().home);
        let find = |reader: &flowc_code::Reader<'_>| Project::find(&dir, home, context.tools(), reader);
        let project = context.read(&dir, Keep::Contents, find)?;
        self.note_origin(&project);
        let (evidence, builds) = (project.evidence().clone(), project.kept().into());
        let parts = Some(project.parts(context.base()));
        let digest = self.runner.add(Launch { project, entry: entry.clone() });
        Ok(Located { builds, parts, ..Located::new(digest, evidence) })
    }

    fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        self.runner.signature(digest)
    }

    fn describe(&self, question: &Question) -> Result<Description, Problem> {
        self.runner.describe(question)
    }

    fn runner(&self, _: Isolate) -> &dyn Runner {
        &self.runner
    }

    fn end_idle(&self) {
        self.runner.end_idle();
    }

    /// With the paths of its files as its author knows them.
    fn shown(&self, text: String) -> String {
        if !text.contains(&*self.environments().snapshots.home().to_string_lossy()) {
            return text;
        }
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins.iter().fold(text, |text, (snapshot, origin)| text.replace(snapshot, origin))
    }

    fn is_sandboxed(&self) -> bool {
        true
    }
}
