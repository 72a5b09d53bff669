//! From the name of a stage's code to a component that the runner knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flowc_container::{ImageFolder, ImageSource, is_pinned};
use flowc_planner::catalogue::Problem;
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::Code;
use flowc_platform::{FileStamp, SourceTree};
use flowc_python::{Launch, Project};
use flowc_store::{Area, Memo, Store};
use flowc_wasm::WasmRunner;
use serde::{Deserialize, Serialize};

use crate::Observer;
use crate::compilations::Compilations;
use crate::runners::Runners;

/// Where Cargo keeps what builds of `rust` stages have in common.
const TARGET: &str = "target";

/// Finds, builds and registers components.
pub(crate) struct Components<'a> {
    /// Folder that relative paths start from.
    pub base: &'a Path,
    /// Where builds and digests are kept.
    pub store: &'a Store,
    /// Get what they are to run.
    pub runners: &'a Runners,
    /// Ids of images that are pinned, by their references.
    pub images: &'a BTreeMap<String, String>,
    /// Whether native builds are allowed.
    pub build: bool,
    /// Hears of builds.
    pub observer: &'a dyn Observer,
    /// Gets the names of the code.
    pub compilations: &'a Compilations,
}

/// A component that the runner knows, and the files that decide whether it is still the same.
pub(crate) struct Located {
    /// Identity of the code.
    pub digest: StageDigest,
    /// Files and folders whose stamps say "unchanged".
    pub evidence: Vec<PathBuf>,
    /// The names of what was built for it, and is kept as long as a run needs it.
    pub builds: Vec<String>,
    /// The image that a reference means which does not pin one: both.
    pub image: Option<(String, String)>,
}

impl Located {
    fn new(digest: StageDigest, evidence: Vec<PathBuf>) -> Self {
        Self { digest, evidence, builds: Vec::new(), image: None }
    }
}

/// A component file's digest, while its stamp holds.
#[derive(Serialize, Deserialize)]
struct StampedDigest {
    stamp: FileStamp,
    digest: StageDigest,
}

impl Components<'_> {
    /// Registers the code with the runner and says what it is.
    pub(crate) fn locate(&self, code: &Code) -> Result<Located, Problem> {
        let located = match code {
            Code::Std(name) => self.standard(name),
            Code::Wasm(path) => self.file(path),
            Code::Rust(dir) => self.built(code, dir),
            Code::Python { dir, entry } => self.python(dir, entry),
            Code::Container { dir, entry } => self.container(code, dir, entry),
            Code::Image { reference, entry } => self.image(code, reference, entry),
        }?;
        self.compilations.name(located.digest, code);
        Ok(located)
    }

    fn standard(&self, name: &str) -> Result<Located, Problem> {
        let stage = flowc_stdlib::find(name).ok_or_else(|| unknown_standard(name))?;
        let digest = stage
            .digest_hex
            .parse()
            .map_err(|_| Problem::new(format!("the standard stage `{name}` has a damaged digest in this binary")))?;
        self.runners.wasm.add(stage.component, digest);
        Ok(Located::new(digest, Vec::new()))
    }

    fn file(&self, path: &str) -> Result<Located, Problem> {
        let path = self.base.join(path);
        let unreadable = |cause: std::io::Error| {
            Problem::new(format!("{} can't be read: {cause}", path.display()))
                .with_help("build it first, or correct the path; it is taken from the pipeline's folder")
        };
        let stamp = FileStamp::of(&path).map_err(unreadable)?;
        let bytes = std::fs::read(&path).map_err(unreadable)?;
        let key = KeyHasher::new("component file").bytes(path.as_os_str().as_encoded_bytes()).finish();
        let known: Option<StampedDigest> = self.store.memo(Memo::Stamp, &key).unwrap_or_default();
        let digest = match known {
            Some(known) if known.stamp == stamp => known.digest,
            _ => WasmRunner::digest(&bytes),
        };
        if !stamp.is_racy(SystemTime::now()) {
            // A digest that can't be remembered is computed again next time.
            let _ = self.store.remember(Memo::Stamp, &key, &StampedDigest { stamp, digest });
        }
        self.runners.wasm.add(bytes, digest);
        Ok(Located::new(digest, vec![path]))
    }

    fn built(&self, code: &Code, dir: &str) -> Result<Located, Problem> {
        let dir = self.base.join(dir);
        let problem = |error: flowc_componentize::BuildError| Problem::new(error.to_string());
        let tree = flowc_componentize::sources_digest(&dir).map_err(problem)?;
        let name = format!("{}.wasm", blake3::Hash::from_bytes(tree.digest).to_hex());
        let kept = self.store.cached_file(Area::Builds, &name);
        let component = match std::fs::read(kept) {
            Ok(component) => component,
            Err(_) => self.build(code, &dir, &name)?,
        };
        let digest = WasmRunner::digest(&component);
        self.runners.wasm.add(component, digest);
        let SourceTree { files, directories, .. } = tree;
        let evidence = files.into_iter().chain(directories).collect();
        Ok(Located { builds: vec![name, TARGET.to_owned()], ..Located::new(digest, evidence) })
    }

    fn python(&self, dir: &str, entry: &str) -> Result<Located, Problem> {
        self.runners.warn_of_isolation(self.observer);
        let project = Project::find(&self.base.join(dir), &Store::area(self.store.dir(), Area::Environments));
        let project = project.map_err(|error| Problem::new(error.to_string()))?;
        let (evidence, builds) = (project.evidence(), project.kept().into());
        // Its packages are installed when it is started, which what is known of it may spare.
        let digest = self.runners.python.add(Launch { project, entry: entry.to_owned() });
        Ok(Located { builds, ..Located::new(digest, evidence) })
    }

    fn container(&self, code: &Code, dir: &str, entry: &str) -> Result<Located, Problem> {
        let containers = &self.runners.containers;
        let folder = ImageFolder::find(&self.base.join(dir)).map_err(|error| Problem::new(error.to_string()))?;
        let image = match containers.made(&folder) {
            Some(image) => image,
            None => self.told(code, |log| containers.make(&folder, log))?,
        };
        let evidence = folder.evidence().to_vec();
        let launch =
            flowc_container::Launch { source: ImageSource::Folder(Box::new(folder)), image, entry: entry.to_owned() };
        Ok(Located::new(containers.add(launch), evidence))
    }

    /// A reference that does not pin an image means the one that the lock pins, or else the one that the engine has now.
    fn image(&self, code: &Code, reference: &str, entry: &str) -> Result<Located, Problem> {
        let containers = &self.runners.containers;
        let image = match self.images.get(reference) {
            _ if is_pinned(reference) => reference.to_owned(),
            Some(pinned) => pinned.clone(),
            None => match containers.find(reference).map_err(|error| Problem::new(error.to_string()))? {
                Some(found) => found,
                None => self.told(code, |log| containers.pull(reference, log))?,
            },
        };
        let pin = (!is_pinned(reference)).then(|| (reference.to_owned(), image.clone()));
        let source = ImageSource::Reference(reference.to_owned());
        let digest = containers.add(flowc_container::Launch { source, image, entry: entry.to_owned() });
        Ok(Located { image: pin, ..Located::new(digest, Vec::new()) })
    }

    fn build(&self, code: &Code, dir: &Path, name: &str) -> Result<Vec<u8>, Problem> {
        let target = self.store.cached_file(Area::Builds, TARGET);
        let component = self.told(code, |log| flowc_componentize::build(dir, &target, log))?;
        self.store
            .put_file(Area::Builds, name, &component)
            .map_err(|error| Problem::new(format!("the built component can't be kept: {error}")))?;
        Ok(component)
    }

    /// Builds something natively, if that is allowed, and tells of it.
    fn told<T, E: std::fmt::Display>(
        &self,
        code: &Code,
        build: impl FnOnce(&mut dyn FnMut(&str)) -> Result<T, E>,
    ) -> Result<T, Problem> {
        if !self.build {
            let message = "it is not built, and --no-build refuses native builds";
            return Err(Problem::new(message).with_help("run once without --no-build, on a machine where you trust it"));
        }
        self.compilations.built(code.to_string(), build).map_err(|error| Problem::new(error.to_string()))
    }
}

/// What is looked for under another name than it has here.
const ELSEWHERE: [(&str, &str); 1] = [("join", "`lookup@1` joins rows with a small table")];

fn unknown_standard(name: &str) -> Problem {
    let known: Vec<String> = flowc_stdlib::stages().iter().map(|s| format!("{}@{}", s.name, s.version)).collect();
    let problem = Problem::new("there is no such standard stage");
    let bare = name.split('@').next().unwrap_or(name);
    if let Some((_, help)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == bare) {
        return problem.with_help(*help);
    }
    match flowc_planner::suggest(name, known.iter().map(String::as_str)) {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}
