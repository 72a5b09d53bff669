//! The folder that an image is made from, and images that were made already.

use std::path::{Path, PathBuf};

use flowc_code::{Evidence, Parts, Reader};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_platform::{lock_exclusive, read_sealed, write_sealed};
use serde::{Deserialize, Serialize};

use crate::ContainerError;
use crate::base::BaseImage;
use crate::contents::Contents;
use crate::engine::Engine;
use crate::image::{architecture, build};
use crate::recipe::{Base, Recipe};

/// What the text may be called.
const NAMES: &[&str] = &["Containerfile", "Dockerfile"];

/// A folder with a `Containerfile`.
pub struct ImageFolder {
    path: PathBuf,
    text: Vec<u8>,
    recipe: Recipe,
    contents: Contents,
    /// Of everything that decides what is in the image.
    digest: [u8; 32],
    evidence: Evidence,
}

/// An image that was made before.
#[derive(Serialize, Deserialize)]
struct Made {
    image: String,
}

impl ImageFolder {
    /// Reads the folder.
    ///
    /// # Errors
    /// If there is no recipe, a mistake in it, or a file can't be read.
    pub fn find(path: &Path, reader: &Reader<'_>) -> Result<Self, ContainerError> {
        let named = NAMES.iter().map(|name| path.join(name)).find(|text| text.is_file());
        let file = named.ok_or_else(|| ContainerError::NoRecipe { folder: path.to_owned() })?;
        let mut evidence = Evidence::default();
        evidence.look(&file);
        // A file of the first name may come to be.
        evidence.look(path);
        let text = std::fs::read_to_string(&file).map_err(ContainerError::io(&file))?;
        let recipe = Recipe::parse(&text).map_err(|error| ContainerError::Recipe { path: file.clone(), error })?;
        let contents = Contents::find(&recipe, path, reader)?;
        let mut hasher = KeyHasher::new("flowc image 3");
        hasher.bytes(text.as_bytes()).bytes(architecture().as_bytes()).digest(&contents.digest());
        let digest = hasher.finish();
        evidence.extend(contents.evidence.clone());
        Ok(Self { path: path.to_owned(), text: text.into_bytes(), recipe, contents, digest, evidence })
    }

    /// By what a later run sees that it is the same.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What the image consists of: files by their paths in it.
    pub fn parts(&self) -> Parts {
        let parts = Parts::default().with("the Containerfile", &self.text);
        self.contents.entries.iter().fold(parts, |parts, (path, entry)| parts.with(&format!("/{path}"), &entry.bytes()))
    }

    /// The image's name, if it was made before. What was made is noted in `home`.
    pub(crate) fn made(&self, home: &Path) -> Option<String> {
        let note = read_sealed(&self.note(home))?;
        serde_json::from_slice::<Made>(&note).ok().map(|made| made.image)
    }

    /// Makes the image and gives it to the engine. Says its name.
    ///
    /// # Errors
    /// If the base can't be had, or the engine fails.
    pub(crate) fn make(
        &self,
        engine: &Engine,
        home: &Path,
        spool: &Path,
        log: &mut dyn FnMut(&str),
    ) -> Result<String, ContainerError> {
        std::fs::create_dir_all(home).map_err(ContainerError::io(home))?;
        let lock = home.join("lock");
        let _held = lock_exclusive(&lock, true).map_err(ContainerError::io(&lock))?;
        let base = match &self.recipe.base {
            Base::Scratch => None,
            Base::Image(reference) => Some(base(engine, reference, spool, log)?),
        };
        log(&format!("making the image of {}", self.path.display()));
        let image = build(&self.recipe, &self.contents, base, spool)?;
        let image = engine.load(image)?;
        let note = serde_json::to_vec(&Made { image: image.clone() }).unwrap_or_default();
        let path = self.note(home);
        write_sealed(&path, &note).map_err(ContainerError::io(&path))?;
        Ok(image)
    }

    fn note(&self, home: &Path) -> PathBuf {
        home.join(format!("{}.json", StageDigest::new(self.digest)))
    }
}

fn base(
    engine: &Engine,
    reference: &str,
    spool: &Path,
    log: &mut dyn FnMut(&str),
) -> Result<BaseImage, ContainerError> {
    if engine.image(reference)?.is_none() {
        engine.pull(reference, log)?;
    }
    let broken = |reason| ContainerError::NoImage { reference: reference.to_owned(), reason };
    BaseImage::read(engine.export(reference, spool)?).map_err(broken)
}
