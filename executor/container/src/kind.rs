//! Stages in containers as the engine knows them.

use flowc_code::{Evidence, Reader};
use flowc_planner::catalogue::Problem;
use flowc_planner::plan::Code;
use flowc_process::{Launch as _, PooledKind};
use flowc_runner::{CodeContext, Keep, Located, foreign_code};

use crate::{ImageFolder, ImageLauncher, ImageSource, Launch, is_pinned};

impl ImageLauncher {
    fn of_folder(
        &self,
        code: &Code,
        dir: &str,
        entry: &str,
        context: &dyn CodeContext,
    ) -> Result<(Launch, Located), Problem> {
        let dir = context.base().join(dir);
        let folder = context.read(&dir, Keep::Contents, |reader: &Reader<'_>| ImageFolder::find(&dir, reader))?;
        let image = match self.made(&folder) {
            Some(image) => image,
            None => context.build(code, |log| Ok(self.make(&folder, log)?))?,
        };
        let (evidence, parts) = (folder.evidence().clone(), folder.parts());
        let launch = Launch { source: ImageSource::Folder(Box::new(folder)), image, entry: entry.to_owned() };
        let located = Located { parts: Some(parts), ..Located::new(launch.digest(), evidence) };
        Ok((launch, located))
    }

    /// A reference that does not pin an image means the one that the lock pins, or else the one that the engine has now.
    fn of_image(
        &self,
        code: &Code,
        reference: &str,
        entry: &str,
        context: &dyn CodeContext,
    ) -> Result<(Launch, Located), Problem> {
        let image = match context.pinned(reference) {
            _ if is_pinned(reference) => reference.to_owned(),
            Some(pinned) => pinned.to_owned(),
            None => match self.find(reference)? {
                Some(found) => found,
                None => context.build(code, |log| Ok(self.pull(reference, log)?))?,
            },
        };
        let pin = (!is_pinned(reference)).then(|| (reference.to_owned(), image.clone()));
        let launch = Launch { source: ImageSource::Reference(reference.to_owned()), image, entry: entry.to_owned() };
        let located = Located { pin, ..Located::new(launch.digest(), Evidence::default()) };
        Ok((launch, located))
    }
}

impl PooledKind for ImageLauncher {
    fn name(&self) -> &'static str {
        "container"
    }

    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<(Launch, Located), Problem> {
        match code {
            Code::Container { dir, entry } => self.of_folder(code, dir, entry, context),
            Code::Image { reference, entry } => self.of_image(code, reference, entry, context),
            other => Err(foreign_code(other)),
        }
    }
}
