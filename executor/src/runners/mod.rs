//! What runs the stages of a session: the registry of kinds of stages.
//!
//! The one room that names them. The rest of the engine asks the registry, which asks the kind of a stage's code.

pub(crate) mod build_events;
mod components;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};

use flowc_code::{Snapshots, Tools};
use flowc_container::{ContainerRunner, Engines, ImageLauncher};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Isolate, Stage};
use flowc_platform::processor_kind;
use flowc_process::Host;
use flowc_python::{Environments, Project, PythonError, PythonLauncher, PythonRunner};
use flowc_runner::{
    ChainRunner, CodeContext, Instance, Invocation, Located, Outlet, Runner, StageError, StageFault, StageKind,
    foreign_code,
};
use flowc_sandbox::Isolation;
use flowc_store::{Area, Store};
use flowc_wasm_process::{ComponentLauncher, WasmProcessRunner};
use flowc_worker::WorkerRunner;
use serde::{Deserialize, Serialize};

use crate::runners::build_events::{Compilations, wasm_runner};
use crate::runners::components::Components;
use crate::{Error, Event, Observer, Options};

/// The kinds of stages that this flowc runs, and what they share of the machine.
pub(crate) struct Runners {
    kinds: Vec<Box<dyn StageKind>>,
    /// Code as it was hashed.
    pub snapshots: Snapshots,
    host: Arc<Host>,
    warned: Once,
}

impl Runners {
    /// Kinds that keep what they make in a store.
    pub(crate) fn new(store: &Store, compilations: Arc<Compilations>, options: &Options) -> Result<Self, Error> {
        let spool = absolute(&store.spool())?;
        let helper = std::env::current_exe().map_err(Error::system("find flowc's own program"))?;
        let snapshots = Snapshots::new(absolute(&Store::area(store.dir(), Area::Code))?);
        let engines = Arc::new(Engines::default());
        let host = Host::new(helper, spool.clone()).with_containers(engines.clone());
        let host = Arc::new(host.with_stored_files(absolute(&store.objects())?));
        let lent =
            Lent { store, compilations, options, host: host.clone(), engines, snapshots: snapshots.clone(), spool };
        Ok(Self { kinds: lent.kinds()?, snapshots, host, warned: Once::new() })
    }

    /// The kind of a code.
    fn kind(&self, code: &Code) -> &dyn StageKind {
        let kind = self.kinds.iter().find(|kind| kind.name() == code.runner());
        kind.map_or(&Unknown, |kind| &**kind)
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
        if kind.is_sandboxed() {
            self.warn_of_isolation(observer);
        }
        kind.locate(code, context)
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
            processor: (!code.is_component()).then(processor_kind),
            unenforced: is_sandboxed.then(|| self.isolation().unenforced()).flatten(),
        }
    }

    /// How far this machine lets programs be isolated.
    pub(crate) fn isolation(&self) -> &Isolation {
        self.host.isolation()
    }

    /// Says what this machine lacks to isolate processes fully, once.
    pub(crate) fn warn_of_isolation(&self, observer: &dyn Observer) {
        self.warned.call_once(|| {
            let isolation = self.host.isolation();
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
        self.host.helper()
    }
}

/// What kinds are made with.
struct Lent<'a> {
    store: &'a Store,
    compilations: Arc<Compilations>,
    options: &'a Options,
    host: Arc<Host>,
    engines: Arc<Engines>,
    snapshots: Snapshots,
    /// Where temporary files go.
    spool: PathBuf,
}

impl Lent<'_> {
    /// All kinds: who adds one registers it here.
    fn kinds(self) -> Result<Vec<Box<dyn StageKind>>, Error> {
        Ok(vec![Box::new(self.components()?), Box::new(self.python()?), Box::new(self.containers()?)])
    }

    fn components(&self) -> Result<Components, Error> {
        let inside = wasm_runner(self.store, self.compilations.clone());
        let inside = inside.map_err(Error::system("start the WebAssembly engine"))?;
        let launcher = ComponentLauncher::new(self.host.clone(), inside.clone());
        Ok(Components {
            store: self.store.clone(),
            processes: WasmProcessRunner::new(launcher, self.options.memory),
            workers: WorkerRunner::new(self.host.clone(), inside.clone(), self.options.workers.clone()),
            inside,
        })
    }

    fn python(&self) -> Result<PythonRunner, Error> {
        let home = absolute(&Store::area(self.store.dir(), Area::Environments))?;
        let environments = Environments { home, snapshots: self.snapshots.clone() };
        let helper = self.host.helper().to_owned();
        let installer = installer(environments.clone(), helper, self.compilations.clone(), self.options.build);
        let launcher = PythonLauncher::new(self.host.clone(), environments).installing(installer);
        Ok(PythonRunner::new(launcher, self.options.memory))
    }

    fn containers(&self) -> Result<ContainerRunner, Error> {
        let images = absolute(&self.store.cached_file(Area::Builds, "images"))?;
        let launcher = ImageLauncher::new(self.engines.clone(), self.host.clone(), images, self.spool.clone());
        Ok(ContainerRunner::new(launcher.building(self.options.build), self.options.memory))
    }
}

/// Programs that start in other folders are told of paths that begin at the root.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::system("find the store's folder"))
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
        Err(foreign_code(code))
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

/// Installs the packages of Python stages that are not there, if that is allowed, and tells of it.
fn installer(
    environments: Environments,
    helper: PathBuf,
    compilations: Arc<Compilations>,
    build: bool,
) -> impl Fn(&StageDigest, &Project) -> Result<PathBuf, PythonError> + Send + Sync + 'static {
    let turn = Mutex::new(());
    move |digest, project| {
        // Told of once, by whoever comes first; the others find it done.
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        match environments.kept(project) {
            Some(environment) => Ok(environment),
            None if !build => Err(PythonError::Refused { dir: project.dir.clone() }),
            None => compilations.built(compilations.called(digest), |log| {
                environments.install(project, Tools::new(&helper, &|| compilations.is_wanted()), log)
            }),
        }
    }
}

#[cfg(test)]
mod tests;
