//! From the name of a stage's code to a component that the runner knows.

use std::collections::BTreeMap;
use std::path::Path;

use flowc_code::{Evidence, Parts, Reader, Tools, normal};
use flowc_componentize::{BuildError, Built, Known, Source};
use flowc_container::{ImageFolder, ImageSource, is_pinned};
use flowc_planner::catalogue::Problem;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Code;
use flowc_platform::read_regular;
use flowc_python::{Launch, Project};
use flowc_store::{Area, Store};
use flowc_wasm::WasmRunner;

use crate::Observer;
use crate::plan::code::CodeReading;
use crate::runners::Runners;
use crate::runners::build_events::Compilations;

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
    /// Reads their code.
    pub code: CodeReading<'a>,
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
    /// By what a later run sees that it is the same.
    pub evidence: Evidence,
    /// What it consists of, where that is known.
    pub parts: Option<Parts>,
    /// The names of what was built for it, and is kept as long as a run needs it.
    pub builds: Vec<String>,
    /// The image that a reference means which does not pin one: both.
    pub image: Option<(String, String)>,
}

impl Located {
    fn new(digest: StageDigest, evidence: Evidence) -> Self {
        Self { digest, evidence, parts: None, builds: Vec::new(), image: None }
    }
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
        Ok(Located::new(digest, Evidence::default()))
    }

    fn file(&self, path: &str) -> Result<Located, Problem> {
        let path = self.base.join(path);
        let unreadable = |cause: std::io::Error| {
            Problem::new(format!("{} can't be read: {cause}", path.display()))
                .with_help("build it first, or correct the path; it is taken from the pipeline's folder")
        };
        let mut evidence = Evidence::default();
        evidence.look(&path);
        // The digest of the bytes that will run: what a stamp says of them may be out of date by now.
        let bytes = read_regular(&path).map_err(unreadable)?;
        let digest = WasmRunner::digest(&bytes);
        self.runners.wasm.add(bytes, digest);
        Ok(Located::new(digest, evidence))
    }

    fn built(&self, code: &Code, dir: &str) -> Result<Located, Problem> {
        let dir = normal(&self.base.join(dir));
        let is_wanted = || self.compilations.is_wanted();
        let tools = self.tools(&is_wanted);
        let (Known { digest: made_of, evidence, parts, .. }, component) =
            self.code.read_in_place(&dir, |reader| match self.kept(&dir, tools, reader)? {
                Some(kept) => Ok(kept),
                None => self.build(code, &dir, tools, reader),
            })?;
        let digest = WasmRunner::digest(&component);
        self.runners.wasm.add(component, digest);
        let builds = vec![component_name(&made_of), TARGET.to_owned()];
        Ok(Located { builds, parts: Some(parts), ..Located::new(digest, evidence) })
    }

    /// A component that was built before of the crate as it is now. What its build read besides is remembered.
    fn kept(&self, dir: &Path, tools: Tools<'_>, reader: &Reader<'_>) -> Result<Option<(Known, Vec<u8>)>, Problem> {
        let source = Source::find(dir, tools, reader).map_err(unbuilt)?;
        let Some(reads) = self.code.reads(&source, dir) else { return Ok(None) };
        let known = source.with(&reads, self.base, reader).map_err(unbuilt)?;
        let component = self.store.sealed(Area::Builds, &component_name(&known.digest));
        Ok(component.map(|component| (known, component)))
    }

    fn python(&self, dir: &str, entry: &str) -> Result<Located, Problem> {
        self.runners.warn_of_isolation(self.observer);
        let (dir, home) = (self.base.join(dir), Store::area(self.store.dir(), Area::Environments));
        let is_wanted = || self.compilations.is_wanted();
        let tools = self.tools(&is_wanted);
        let project = self.code.read(&dir, |reader| Project::find(&dir, &home, tools, reader))?;
        let (evidence, builds) = (project.evidence().clone(), project.kept().into());
        let parts = Some(project.parts(self.base));
        // Its packages are installed when it is started, which what is known of it may spare.
        let digest = self.runners.python.add(Launch { project, entry: entry.to_owned() });
        Ok(Located { builds, parts, ..Located::new(digest, evidence) })
    }

    fn container(&self, code: &Code, dir: &str, entry: &str) -> Result<Located, Problem> {
        let containers = &self.runners.containers;
        let dir = self.base.join(dir);
        let folder = self.code.read(&dir, |reader| ImageFolder::find(&dir, reader));
        let folder = folder?;
        let image = match containers.made(&folder) {
            Some(image) => image,
            None => self.told(code, |log| Ok(containers.make(&folder, log)?))?,
        };
        let (evidence, parts) = (folder.evidence().clone(), folder.parts());
        let launch =
            flowc_container::Launch { source: ImageSource::Folder(Box::new(folder)), image, entry: entry.to_owned() };
        Ok(Located { parts: Some(parts), ..Located::new(containers.add(launch), evidence) })
    }

    /// A reference that does not pin an image means the one that the lock pins, or else the one that the engine has now.
    fn image(&self, code: &Code, reference: &str, entry: &str) -> Result<Located, Problem> {
        let containers = &self.runners.containers;
        let image = match self.images.get(reference) {
            _ if is_pinned(reference) => reference.to_owned(),
            Some(pinned) => pinned.clone(),
            None => match containers.find(reference)? {
                Some(found) => found,
                None => self.told(code, |log| Ok(containers.pull(reference, log)?))?,
            },
        };
        let pin = (!is_pinned(reference)).then(|| (reference.to_owned(), image.clone()));
        let source = ImageSource::Reference(reference.to_owned());
        let digest = containers.add(flowc_container::Launch { source, image, entry: entry.to_owned() });
        Ok(Located { image: pin, ..Located::new(digest, Evidence::default()) })
    }

    /// Starts what builds.
    fn tools<'t>(&'t self, is_wanted: &'t (dyn Fn() -> bool + Sync)) -> Tools<'t> {
        Tools::new(self.runners.helper(), is_wanted)
    }

    fn build(
        &self,
        code: &Code,
        dir: &Path,
        tools: Tools<'_>,
        reader: &Reader<'_>,
    ) -> Result<(Known, Vec<u8>), Problem> {
        let target = self.store.cached_file(Area::Builds, TARGET);
        let build = |log: &mut dyn FnMut(&str)| {
            flowc_componentize::build(dir, self.base, &target, tools, reader, log).map_err(unbuilt)
        };
        let built = self.told(code, build)?;
        let Built { component, source, reads, known } = built;
        self.store
            .put_sealed(Area::Builds, &component_name(&known.digest), &component)
            .map_err(|error| Problem::new(format!("the built component can't be kept: {error}")))?;
        self.code.remember_reads(&source, dir, &reads);
        Ok((known, component))
    }

    /// Builds something natively, if that is allowed, and tells of it.
    fn told<T>(
        &self,
        code: &Code,
        build: impl FnOnce(&mut dyn FnMut(&str)) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
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

/// The name of a component, by the digest of what it is built from.
fn component_name(digest: &[u8; 32]) -> String {
    format!("{}.wasm", blake3::Hash::from_bytes(*digest).to_hex())
}

fn unbuilt(error: BuildError) -> Problem {
    match error.is_of_machine() {
        true => Problem::of_machine(error.to_string()),
        false => Problem::new(error.to_string()),
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
