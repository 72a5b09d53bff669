//! Python stages as the engine knows them.

use std::path::Path;

use flowc_code::Reader;
use flowc_planner::catalogue::Problem;
use flowc_planner::plan::Code;
use flowc_platform::lock;
use flowc_process::{Launch as _, PooledKind};
use flowc_runner::{CodeContext, Keep, Located, foreign_code};

use crate::{Launch, Project, PythonLauncher};

impl PythonLauncher {
    fn note_origin(&self, project: &Project) {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let snapshot = self.environments.snapshots.place(project.tree());
        let mut origins = lock(&self.origins);
        origins.insert(text(&snapshot), text(&project.tree().base));
    }
}

impl PooledKind for PythonLauncher {
    fn name(&self) -> &'static str {
        "python"
    }

    /// Packages are installed when the stage is started, which what is known of it may spare.
    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<(Launch, Located), Problem> {
        let Code::Python { dir, entry } = code else { return Err(foreign_code(code)) };
        let dir = context.base().join(dir);
        let find = |reader: &Reader<'_>| Project::find(&dir, &self.environments.home, context.tools(), reader);
        let project = context.read(&dir, Keep::Contents, find)?;
        self.note_origin(&project);
        let (evidence, builds) = (project.evidence().clone(), project.kept().into());
        let parts = Some(project.parts(context.base()));
        let launch = Launch { project, entry: entry.clone() };
        let located = Located { builds, parts, ..Located::new(launch.digest(), evidence) };
        Ok((launch, located))
    }

    /// With the paths of its files as its author knows them.
    fn shown(&self, text: String) -> String {
        if !text.contains(&*self.environments.snapshots.home().to_string_lossy()) {
            return text;
        }
        let origins = lock(&self.origins);
        origins.iter().fold(text, |text, (snapshot, origin)| text.replace(snapshot, origin))
    }

    fn is_sandboxed(&self) -> bool {
        true
    }
}
