//! What runs the stages of a session: the registry of kinds of stages.
//!
//! The one room that names them. The rest of the engine asks the registry, which asks the kind of a stage's code.

pub(crate) mod build_events;
mod components;
#[cfg(feature = "containers")]
mod containers;
#[cfg(feature = "rust")]
mod crates;
#[cfg(not(feature = "rust"))]
#[path = "no_crates.rs"]
mod crates;
#[cfg(feature = "gpu")]
mod gpu;
mod installed;
mod lent;
#[cfg(not(feature = "processes"))]
#[path = "no_processes.rs"]
mod processes;
#[cfg(feature = "processes")]
mod processes;
#[cfg(not(feature = "python"))]
#[path = "no_python.rs"]
mod python;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "sql")]
mod sql;
mod trials;
#[cfg(feature = "workers")]
mod workers;

use std::path::Path;
use std::sync::{Arc, Once};

use flowc_code::Snapshots;
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Isolate, Stage};
use flowc_platform::processor_kind;
use flowc_runner::{
    ChainRunner, CodeContext, DeviceIdentity, Instance, Invocation, Located, Outlet, Runner, StageError, StageFault,
    StageKind, foreign_code, not_built,
};
use flowc_sandbox::{Helper, Isolation};
use flowc_store::{Area, Store};
use flowc_wasm::InstalledCode;
use serde::{Deserialize, Serialize};

use crate::features::{FEATURES, Feature, WORKERS, missing_for, of_kind};
use crate::runners::build_events::{Compilations, wasm_runner};
use crate::runners::components::Components;
use crate::runners::crates::Crates;
pub use crate::runners::installed::precompile;
use crate::runners::lent::{Lent, absolute};
use crate::runners::processes::Programs;
pub(crate) use crate::runners::python::Environments;
use crate::runners::trials::Trials;
use crate::{Error, Event, Observer, Options};

/// The kinds of stages that this flowc runs, and what they share of the machine.
pub(crate) struct Runners {
    kinds: Vec<Box<dyn StageKind>>,
    /// Code as it was hashed.
    pub snapshots: Snapshots,
    helper: Helper,
    features: [Feature; FEATURES.len()],
    warned: Once,
}

impl Runners {
    /// Kinds that keep what they make in a store.
    ///
    /// # Errors
    /// If the options ask for what this flowc was built without, or if a folder or flowc's own program can't be found.
    pub(crate) fn new(store: &Store, compilations: Arc<Compilations>, options: &Options) -> Result<Self, Error> {
        if !options.workers.is_empty() && !WORKERS.is_built {
            let lacking = not_built(WORKERS.name).message;
            return Err(Error::Request(format!("components can't run on workers: {lacking}")));
        }
        let helper = Helper::of_this_program().map_err(Error::system("find flowc's own program"))?;
        let helper = helper.remembering(Arc::new(Trials(store.clone())));
        let snapshots = Snapshots::new(absolute(&Store::area(store.dir(), Area::Code))?);
        let programs = Programs::new(helper.clone(), absolute(&store.spool())?, absolute(&store.objects())?);
        let installed = InstalledCode::of(helper.program());
        let lent = Lent { store, installed, compilations, options, snapshots: snapshots.clone(), programs };
        Ok(Self { kinds: kinds(&lent)?, snapshots, helper, features: FEATURES, warned: Once::new() })
    }

    /// The kind of a code.
    fn kind(&self, code: &Code) -> &dyn StageKind {
        let kind = self.kinds.iter().find(|kind| kind.name() == code.runner());
        kind.map_or(&Unknown, |kind| &**kind)
    }

    /// Whether stages can be isolated so.
    ///
    /// # Errors
    /// What this flowc was built without.
    pub(crate) fn check_isolation(&self, isolate: Isolate) -> Result<(), Problem> {
        missing_for(isolate, &self.features).map_or(Ok(()), |feature| Err(not_built(feature.name)))
    }

    /// Has the code of a stage found and registered.
    ///
    /// # Errors
    /// If there is no such code, or it can't be built.
    pub(crate) fn locate(
        &self,
        code: &Code,
        context: &dyn CodeContext,
        observer: &dyn Observer,
    ) -> Result<Located, Problem> {
        let kind = self.kind(code);
        let located = kind.locate(code, context);
        // What this machine lacks is found by trying, which kinds may do beside something else.
        if kind.is_sandboxed() {
            self.warn_of_isolation(observer);
        }
        located
    }

    /// What a located stage is, before any config.
    ///
    /// # Errors
    /// If it is no stage, or describes itself wrongly.
    pub(crate) fn signature(&self, code: &Code, digest: &StageDigest) -> Result<Signature, Problem> {
        let kind = self.kind(code);
        kind.signature(digest).map_err(|problem| shown(kind, problem))
    }

    /// What a located stage makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with the stage.
    pub(crate) fn describe(&self, question: &Question) -> Result<Description, Problem> {
        let kind = self.kind(&question.code);
        kind.describe(question).map_err(|problem| shown(kind, problem))
    }

    /// The device that stages of a code run on here, if they run on one.
    pub(crate) fn device(&self, code: &Code) -> Option<DeviceIdentity> {
        self.kind(code).device()
    }

    /// What runs a stage.
    pub(crate) fn of(&self, stage: &Stage) -> &dyn Runner {
        self.kind(&stage.code).runner(stage.limits.isolate)
    }

    /// What runs adjacent stages in one instance, where that is cheaper than handing batches from one to the next.
    pub(crate) fn chained(&self, stage: &Stage) -> Option<&dyn ChainRunner> {
        self.of(stage).as_chain_runner()
    }

    /// Ends all programs that are not at work.
    pub(crate) fn end_idle(&self) {
        self.kinds.iter().for_each(|kind| kind.end_idle());
    }

    /// A text of any stage, as its author is to see it.
    pub(crate) fn shown(&self, text: String) -> String {
        self.kinds.iter().fold(text, |text, kind| kind.shown(text))
    }

    /// Whether stages may run on other hosts.
    pub(crate) fn is_remote(&self) -> bool {
        self.kinds.iter().any(|kind| kind.is_remote())
    }

    /// Checks what kinds were configured with, before a run begins.
    ///
    /// # Errors
    /// If that can't be used.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.kinds.iter().try_for_each(|kind| kind.check()).map_err(Error::Request)
    }

    /// Whether a stage runs in a sandbox of this machine.
    pub(crate) fn is_sandboxed(&self, stage: &Stage) -> bool {
        match stage.limits.isolate {
            Isolate::Container => false,
            Isolate::Process => true,
            Isolate::No | Isolate::Unit => self.kind(&stage.code).is_sandboxed(),
        }
    }

    /// What of this machine results of a code may depend on.
    pub(crate) fn on_machine(&self, code: &Code) -> OnMachine {
        let is_sandboxed = self.kind(code).is_sandboxed();
        OnMachine {
            processor: code.program().is_some().then(processor_kind),
            unenforced: is_sandboxed.then(|| self.isolation().unenforced()).flatten(),
        }
    }

    /// How far this machine lets programs be isolated.
    pub(crate) fn isolation(&self) -> &Isolation {
        self.helper.isolation()
    }

    /// Says what this machine lacks to isolate processes fully, once.
    pub(crate) fn warn_of_isolation(&self, observer: &dyn Observer) {
        self.warned.call_once(|| {
            let isolation = self.isolation();
            if !isolation.is_full() {
                let mut message = format!("stages in processes are not fully isolated on this machine: {isolation}");
                if isolation.unenforced().is_some() {
                    let sandboxed = self.kinds.iter().filter(|kind| kind.is_sandboxed());
                    let names: Vec<String> = sandboxed.map(|kind| format!("`{}`", kind.name())).collect();
                    message.push_str(&format!(
                        ". Results of {} stages are `open`: they are made again by every run, unless the stage says \
                         `cache #true` or `cache \"1h\"`, or `isolate \"container\"`",
                        names.join(" and ")
                    ));
                }
                observer.observe(Event::Warning { message });
            }
        });
    }

    /// The program that plays the part of a helper.
    pub(crate) fn helper(&self) -> &Path {
        self.helper.program()
    }
}

/// All kinds: who adds one registers it here.
fn kinds(lent: &Lent<'_>) -> Result<Vec<Box<dyn StageKind>>, Error> {
    let kinds: [Result<Box<dyn StageKind>, Error>; _] = [
        components(lent),
        #[cfg(feature = "python")]
        python::kind(lent),
        #[cfg(feature = "containers")]
        containers::kind(lent),
        #[cfg(feature = "sql")]
        sql::kind(lent),
        #[cfg(feature = "gpu")]
        gpu::kind(lent),
    ];
    kinds.into_iter().collect()
}

fn components(lent: &Lent<'_>) -> Result<Box<dyn StageKind>, Error> {
    let inside = wasm_runner(lent.store, lent.installed.clone(), lent.compilations.clone());
    let inside = inside.map_err(Error::system("start the WebAssembly engine"))?;
    let elsewhere = lent.programs.elsewhere(&inside, lent.options);
    Ok(Box::new(Components { crates: Crates::new(lent.store), inside, elsewhere }))
}

/// A problem of a stage, as its author is to see it.
fn shown(kind: &dyn StageKind, problem: Problem) -> Problem {
    let also = problem.also.into_iter().map(|other| shown(kind, other)).collect();
    Problem { message: kind.shown(problem.message), also, ..problem }
}

/// In the place of a kind that is not registered.
struct Unknown;

impl StageKind for Unknown {
    fn name(&self) -> &'static str {
        "unknown"
    }

    fn locate(&self, code: &Code, _: &dyn CodeContext) -> Result<Located, Problem> {
        Err(of_kind(code.runner()).map_or_else(|| foreign_code(code), |feature| not_built(feature.name)))
    }

    fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        Err(Problem::new(format!("nothing here runs the stage {}", digest.short())))
    }

    fn describe(&self, question: &Question) -> Result<Description, Problem> {
        Err(foreign_code(&question.code))
    }

    fn runner(&self, _: Isolate) -> &dyn Runner {
        self
    }
}

impl Runner for Unknown {
    fn open(&self, invocation: &Invocation, _: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let message = format!("nothing here runs the stage {}", invocation.digest.short());
        Err(StageError::new(&*invocation.stage, StageFault::Problem { message, config_path: None }))
    }
}

/// What of a machine results may depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnMachine {
    /// The kind of its processors: numeric libraries pick their code by it.
    processor: Option<String>,
    /// What can't be kept from programs.
    unenforced: Option<String>,
}

impl OnMachine {
    /// What a stage is, on this machine.
    pub(crate) fn add_to(self, mut signature: Signature) -> Signature {
        signature.runner.extend(self.processor.map(|kind| ("processor".to_owned(), kind)));
        Signature { unenforced: self.unenforced, ..signature }
    }
}

#[cfg(test)]
mod tests;
