//! Stages in containers as the engine knows them.

use flowc_code::{Evidence, Reader};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Isolate};
use flowc_runner::{CodeContext, Keep, Located, Runner, StageKind, foreign_code};

use crate::{ContainerRunner, ImageFolder, ImageLauncher, ImageSource, Launch, is_pinned};

/// The kind of stage whose program is in an image.
pub struct ContainerStages {
    runner: ContainerRunner,
}

impl ContainerStages {
    /// Stages in the containers of this launcher. `memory` is what a stage may have where the pipeline does not say.
    pub fn new(launcher: ImageLauncher, memory: u64) -> Self {
        Self { runner: ContainerRunner::new(launcher, memory) }
    }

    fn of_folder(&self, code: &Code, dir: &str, entry: &str, context: &dyn CodeContext) -> Result<Located, Problem> {
        let images = self.runner.launcher();
        let dir = context.base().join(dir);
        let folder = context.read(&dir, Keep::Contents, |reader: &Reader<'_>| ImageFolder::find(&dir, reader))?;
        let image = match images.made(&folder) {
            Some(image) => image,
            None => context.build(code, |log| Ok(images.make(&folder, log)?))?,
        };
        let (evidence, parts) = (folder.evidence().clone(), folder.parts());
        let launch = Launch { source: ImageSource::Folder(Box::new(folder)), image, entry: entry.to_owned() };
        Ok(Located { parts: Some(parts), ..Located::new(self.runner.add(launch), evidence) })
    }

    /// A reference that does not pin an image means the one that the lock pins, or else the one that the engine has now.
    fn of_image(
        &self,
        code: &Code,
        reference: &str,
        entry: &str,
        context: &dyn CodeContext,
    ) -> Result<Located, Problem> {
        let images = self.runner.launcher();
        let image = match context.pinned(reference) {
            _ if is_pinned(reference) => reference.to_owned(),
            Some(pinned) => pinned.to_owned(),
            None => match images.find(reference)? {
                Some(found) => found,
                None => context.build(code, |log| Ok(images.pull(reference, log)?))?,
            },
        };
        let pin = (!is_pinned(reference)).then(|| (reference.to_owned(), image.clone()));
        let source = ImageSource::Reference(reference.to_owned());
        let digest = self.runner.add(Launch { source, image, entry: entry.to_owned() });
        Ok(Located { pin, ..Located::new(digest, Evidence::default()) })
    }
}

impl StageKind for ContainerStages {
    fn name(&self) -> &'static str {
        "container"
    }

    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<Located, Problem> {
        match code {
            Code::Container { dir, entry } => self.of_folder(code, dir, entry, context),
            Code::Image { reference, entry } => self.of_image(code, reference, entry, context),
            other => Err(foreign_code(other)),
        }
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
}
