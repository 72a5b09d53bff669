//! WebAssembly components as the engine knows them: standard stages, files, and crates that are built to one. They run in
//! flowc's process, in processes of their own, or on workers.

use std::path::Path;
use std::sync::Arc;

use flowc_code::{Evidence, normal};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Isolate, STANDARD_KERNELS};
use flowc_platform::read_regular;
use flowc_runner::{CodeContext, Located, Runner, StageKind, foreign_code};
use flowc_wasm::WasmRunner;

use crate::runners::crates::Crates;

/// The kind of stage that is a component.
pub(super) struct Components {
    /// What builds `rust` stages.
    pub(super) crates: Crates,
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
            Code::Rust(dir) => {
                let dir = normal(&context.base().join(dir));
                self.crates.locate(code, &dir, context, |component| self.add(component))
            }
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
