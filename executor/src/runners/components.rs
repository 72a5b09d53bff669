//! WebAssembly components as the engine knows them: standard stages, files, and crates that are built to one. They run in
//! flowc's process, in processes of their own, or on workers.

use std::path::Path;
use std::sync::Arc;

use flowc_code::{Evidence, Reader, normal};
use flowc_componentize::{BuildError, Built, Known, Reads, Source};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::{Code, Isolate, STANDARD_KERNELS};
use flowc_platform::read_regular;
use flowc_runner::{CodeContext, Keep, Located, Runner, StageKind, foreign_code};
use flowc_store::{Area, Store};
use flowc_wasm::WasmRunner;

use crate::remembered::CODE;

/// Where Cargo keeps what builds of `rust` stages have in common.
const TARGET: &str = "target";

/// The kind of stage that is a component.
pub(super) struct Components {
    /// Where builds are kept.
    pub(super) store: Store,
    /// Components in flowc's process; it compiles those of the others too.
    pub(super) inside: Arc<WasmRunner>,
    /// Where else components run.
    pub(super) elsewhere: Vec<Box<dyn Elsewhere>>,
}

/// Runs components outside of flowc's process.
pub(super) trait Elsewhere: Send + Sync {
    /// Whether it runs components that the pipeline wants isolated so.
    fn takes(&self, isolate: Isolate) -> bool;

    /// What runs them.
    fn runner(&self) -> &dyn Runner;

    /// Registers a component, which is registered inside too.
    fn add(&self, _component: StageDigest) {}

    /// Ends all programs and connections that are not at work.
    fn end_idle(&self);

    /// Whether it is on other hosts.
    fn is_remote(&self) -> bool {
        false
    }

    /// Checks what it was configured with, before a run begins.
    ///
    /// # Errors
    /// In words, if that can't be used.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl StageKind for Components {
    fn name(&self) -> &'static str {
        "wasm"
    }

    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<Located, Problem> {
        match code {
            Code::Std(name) => self.standard(name),
            Code::Wasm(path) => self.file(&context.base().join(path)),
            Code::Rust(dir) => self.built(code, &normal(&context.base().join(dir)), context),
            other => Err(foreign_code(other)),
        }
    }

    fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        self.inside.signature(digest)
    }

    fn describe(&self, question: &Question) -> Result<Description, Problem> {
        self.inside.describe(question)
    }

    fn runner(&self, isolate: Isolate) -> &dyn Runner {
        self.elsewhere.iter().find(|other| other.takes(isolate)).map_or(&*self.inside, |other| other.runner())
    }

    fn end_idle(&self) {
        self.elsewhere.iter().for_each(|other| other.end_idle());
    }

    fn is_remote(&self) -> bool {
        self.elsewhere.iter().any(|other| other.is_remote())
    }

    fn check(&self) -> Result<(), String> {
        self.elsewhere.iter().try_for_each(|other| other.check())
    }
}

impl Components {
    fn standard(&self, name: &str) -> Result<Located, Problem> {
        let stage = flowc_stdlib::find(name).ok_or_else(|| unknown_standard(name))?;
        let digest = stage
            .digest_hex
            .parse()
            .map_err(|_| Problem::new(format!("the standard stage `{name}` has a damaged digest in this binary")))?;
        self.inside.add(stage.component, digest);
        Ok(Located::new(self.added(digest), Evidence::default()))
    }

    fn file(&self, path: &Path) -> Result<Located, Problem> {
        let unreadable = |cause: std::io::Error| {
            Problem::new(format!("{} can't be read: {cause}", path.display()))
                .with_help("build it first, or correct the path; it is taken from the pipeline's folder")
        };
        let mut evidence = Evidence::default();
        evidence.look(path);
        // The digest of the bytes that will run: what a stamp says of them may be out of date by now.
        let bytes = read_regular(path).map_err(unreadable)?;
        Ok(Located::new(self.add(bytes), evidence))
    }

    fn add(&self, component: Vec<u8>) -> StageDigest {
        let digest = WasmRunner::digest(&component);
        self.inside.add(component, digest);
        self.added(digest)
    }

    /// Tells the others of a component that was registered inside.
    fn added(&self, digest: StageDigest) -> StageDigest {
        self.elsewhere.iter().for_each(|other| other.add(digest));
        digest
    }

    fn built(&self, code: &Code, dir: &Path, context: &dyn CodeContext) -> Result<Located, Problem> {
        let (known, component) =
            context.read(dir, Keep::Nothing, |reader| match self.kept(dir, context, reader)? {
                Some(kept) => Ok(kept),
                None => self.build(code, dir, context, reader),
            })?;
        let Known { digest: made_of, evidence, parts, .. } = known;
        let builds = vec![component_name(&made_of), TARGET.to_owned()];
        Ok(Located { builds, parts: Some(parts), ..Located::new(self.add(component), evidence) })
    }

    /// A component that was built before of the crate as it is now. What its build read besides is remembered.
    fn kept(
        &self,
        dir: &Path,
        context: &dyn CodeContext,
        reader: &Reader<'_>,
    ) -> Result<Option<(Known, Vec<u8>)>, Problem> {
        let source = Source::find(dir, context.tools(), reader).map_err(unbuilt)?;
        let reads: Option<Reads> = self.store.memo(CODE, &reads_key(&source, dir)).ok().flatten();
        let Some(reads) = reads else { return Ok(None) };
        let known = source.with(&reads, context.base(), reader).map_err(unbuilt)?;
        let component = self.store.sealed(Area::Builds, &component_name(&known.digest));
        Ok(component.map(|component| (known, component)))
    }

    fn build(
        &self,
        code: &Code,
        dir: &Path,
        context: &dyn CodeContext,
        reader: &Reader<'_>,
    ) -> Result<(Known, Vec<u8>), Problem> {
        let target = self.store.cached_file(Area::Builds, TARGET);
        let (base, tools) = (context.base(), context.tools());
        let build = |log: &mut dyn FnMut(&str)| {
            flowc_componentize::build(dir, base, &target, tools, reader, log).map_err(unbuilt)
        };
        let Built { component, source, reads, known } = context.build(code, build)?;
        self.store
            .put_sealed(Area::Builds, &component_name(&known.digest), &component)
            .map_err(|error| Problem::new(format!("the built component can't be kept: {error}")))?;
        // Without it the crate is built again next time.
        let _ = self.store.remember(CODE, &reads_key(&source, dir), &reads);
        Ok((known, component))
    }
}

/// The name of a component, by the digest of what it is built from.
fn component_name(digest: &[u8; 32]) -> String {
    format!("{}.wasm", blake3::Hash::from_bytes(*digest).to_hex())
}

/// What a build reads lies elsewhere for a crate in another folder.
fn reads_key(source: &Source, dir: &Path) -> [u8; 32] {
    let mut hasher = KeyHasher::new("code reads 1");
    hasher.digest(&source.digest()).bytes(dir.as_os_str().as_encoded_bytes()).finish()
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
    let components = flowc_stdlib::stages().iter().map(|s| format!("{}@{}", s.name, s.version));
    let known: Vec<String> = components.chain(STANDARD_KERNELS.map(str::to_owned)).collect();
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
