//! What runs the stages of a session, by what their code is.
//!
//! The one room that knows which kinds of stages there are.

pub(crate) mod build_events;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};

use flowc_code::{Snapshots, Tools};
use flowc_container::{ContainerRunner, Engines};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Stage};
use flowc_platform::processor_kind;
use flowc_process::Host;
use flowc_python::{Environments, Project, PythonError, PythonRunner};
use flowc_runner::{ChainRunner, Runner};
use flowc_sandbox::Isolation;
use flowc_store::{Area, Store};
use flowc_wasm::WasmRunner;
use flowc_wasm_process::WasmProcessRunner;
use flowc_worker::WorkerRunner;
use serde::{Deserialize, Serialize};

use crate::runners::build_events::{Compilations, wasm_runner};
use crate::{Error, Event, Observer, Options};

/// One runner per kind of code.
pub(crate) struct Runners {
    /// Components.
    pub wasm: Arc<WasmRunner>,
    /// Components in processes of their own.
    wasm_process: WasmProcessRunner,
    /// Components on other hosts.
    pub workers: WorkerRunner,
    /// Python stages.
    pub python: PythonRunner,
    /// Stages in containers.
    pub containers: ContainerRunner,
    /// Code as it was hashed.
    pub snapshots: Snapshots,
    host: Arc<Host>,
    warned: Once,
}

impl Runners {
    /// Runners that keep what they make in a store.
    pub(crate) fn new(store: &Store, compilations: Arc<Compilations>, options: &Options) -> Result<Self, Error> {
        let memory = options.memory;
        let wasm = wasm_runner(store, compilations.clone()).map_err(Error::system("start the WebAssembly engine"))?;
        // Programs that start in other folders are told of these.
        let absolute = |path: &Path| std::path::absolute(path).map_err(Error::system("find the store's folder"));
        let snapshots = Snapshots::new(absolute(&Store::area(store.dir(), Area::Code))?);
        let home = absolute(&Store::area(store.dir(), Area::Environments))?;
        let environments = Environments { home, snapshots: snapshots.clone() };
        let spool = absolute(&store.spool())?;
        let helper = std::env::current_exe().map_err(Error::system("find flowc's own program"))?;
        let engines = Arc::new(Engines::default());
        let host = Host::new(helper.clone(), spool.clone()).with_containers(engines.clone());
        let host = Arc::new(host.with_stored_files(absolute(&store.objects())?));
        let images = absolute(&store.cached_file(Area::Builds, "images"))?;
        let containers = ContainerRunner::new(engines, host.clone(), images, spool, memory).building(options.build);
        let python = PythonRunner::new(host.clone(), environments.clone(), memory);
        let python = python.installing(installer(environments, helper, compilations, options.build));
        let workers = WorkerRunner::new(host.clone(), wasm.clone(), options.workers.clone());
        let wasm_process = WasmProcessRunner::new(host.clone(), wasm.clone());
        Ok(Self { wasm, wasm_process, workers, python, containers, snapshots, host, warned: Once::new() })
    }

    /// Says what this machine lacks to isolate processes fully, once.
    pub(crate) fn warn_of_isolation(&self, observer: &dyn Observer) {
        self.warned.call_once(|| {
            let isolation = self.host.isolation();
            if !isolation.is_full() {
                let mut message = format!("stages in processes are not fully isolated on this machine: {isolation}");
                if isolation.unenforced().is_some() {
                    message.push_str(
                        ". Results of Python stages are `open`: they are made again by every run, unless the stage says \
                         `cache #true` or `cache \"1h\"`, or `isolate \"container\"`",
                    );
                }
                observer.observe(Event::Warning { message });
            }
        });
    }

    /// The program that plays the part of a helper.
    pub(crate) fn helper(&self) -> &Path {
        self.host.helper()
    }

    /// How far this machine lets programs be isolated.
    pub(crate) fn isolation(&self) -> &Isolation {
        self.host.isolation()
    }

    /// What of this machine results of a code may depend on.
    pub(crate) fn on_machine(&self, code: &Code) -> OnMachine {
        OnMachine {
            processor: (!code.is_component()).then(processor_kind),
            unenforced: match code {
                Code::Python { .. } => self.isolation().unenforced(),
                _ => None,
            },
        }
    }

    /// What runs a stage.
    pub(crate) fn of(&self, stage: &Stage) -> &dyn Runner {
        match stage.code {
            // Nothing but this host keeps a stage from others as the text wants it.
            _ if stage.is_apart() => &self.wasm_process,
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) if self.workers.is_used() => &self.workers,
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => &*self.wasm,
            Code::Python { .. } => &self.python,
            Code::Container { .. } | Code::Image { .. } => &self.containers,
        }
    }

    /// What runs adjacent stages in one instance, where that is cheaper than handing batches from one to the next.
    pub(crate) fn chained(&self, stage: &Stage) -> Option<&dyn ChainRunner> {
        match stage.code {
            _ if stage.is_apart() => None,
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => self.workers.is_used().then_some(&self.workers),
            Code::Python { .. } => Some(&self.python),
            Code::Container { .. } | Code::Image { .. } => Some(&self.containers),
        }
    }

    /// Ends all processes that are not at work.
    pub(crate) fn end_idle(&self) {
        self.python.end_idle();
        self.wasm_process.end_idle();
        self.workers.end_idle();
        self.containers.end_idle();
    }

    /// What a registered stage is, before any config.
    pub(crate) fn signature(&self, code: &Code, digest: &StageDigest) -> Result<Signature, Problem> {
        match code {
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => self.wasm.signature(digest),
            Code::Python { .. } => self.python.signature(digest).map_err(|problem| self.told(problem)),
            Code::Container { .. } | Code::Image { .. } => self.containers.signature(digest),
        }
    }

    /// A problem of a Python stage, with the paths of its files as its author knows them.
    fn told(&self, problem: Problem) -> Problem {
        let also = problem.also.into_iter().map(|other| self.told(other)).collect();
        Problem { message: self.python.shown(problem.message), also, ..problem }
    }

    /// What a registered stage makes of a config and of its inputs' schemas.
    pub(crate) fn describe(&self, question: &Question) -> Result<Description, Problem> {
        match question.code {
            Code::Std(_) | Code::Wasm(_) | Code::Rust(_) => self.wasm.describe(question),
            Code::Python { .. } => self.python.describe(question).map_err(|problem| self.told(problem)),
            Code::Container { .. } | Code::Image { .. } => self.containers.describe(question),
        }
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
