//! From the texts on disk to a plan: through the planner, or as it was planned last time.
//!
//! May use `runners`, which say what stages are; knows nothing of sources' rows.

pub(crate) mod catalogue;
pub(crate) mod code;
pub(crate) mod freshness;
pub(crate) mod locating;
pub(crate) mod project;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use flowc_code::Evidence;
use flowc_demand::KeyDeriver;
use flowc_planner::catalogue::OwnFiles;
use flowc_planner::key::{KeyHasher, PlanHash, StageDigest};
use flowc_planner::plan::{Code, DEVICE, Plan, Sink, Stage, shown_columns};
use flowc_planner::{Diagnostic, Lock, LockChange, Settings, Texts, Unit, units};
use flowc_sources::Source;
use flowc_store::{Need, Store};
use serde::{Deserialize, Serialize};

use crate::plan::catalogue::StageCatalogue;
use crate::plan::code::CodeReading;
use crate::plan::freshness::Marks;
use crate::plan::locating::Locating;
use crate::plan::project::Project;
use crate::remembered::PLAN;
use crate::runners::build_events::Compilations;
use crate::runners::{OnMachine, Runners};
use crate::{Cause, Error, Observer, Options};

/// A plan, and what was noticed on the way to it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Its hash.
    pub hash: PlanHash,
    /// The stages that run together, and why each ends where it does.
    pub units: Vec<Unit>,
    /// What is pinned that the lock did not have, or not so.
    pub lock_changes: Vec<LockChange>,
    /// The texts, main file first.
    pub(crate) texts: Vec<PathBuf>,
    /// The lock.
    pub(crate) lock: PathBuf,
    /// BLAKE3 of each text as it was read, and of the lock as it was read or written.
    pub(crate) read: Vec<(PathBuf, [u8; 32])>,
    /// By what a later run sees that all code is the same.
    pub(crate) evidence: Evidence,
    /// The names of what was built for its stages.
    pub(crate) builds: Vec<String>,
    /// When it was begun: before anything was read.
    pub(crate) began: SystemTime,
    /// The folder that relative paths start from.
    pub(crate) base: PathBuf,
    /// What tells the results of open stages from earlier ones.
    pub(crate) marks: Marks,
    /// What it was planned from.
    written: Arc<Texts>,
    settings: Settings,
}

impl Planned {
    /// Says of stages whose numbers depend on the device which one it is here. Remembered plans hold on any machine, so this comes
    /// after them.
    pub(crate) fn add_devices(&mut self, runners: &Runners) {
        if !self.plan.stages.iter().any(Stage::is_of_device) {
            return;
        }
        let plan = Arc::make_mut(&mut self.plan);
        for stage in plan.stages.iter_mut().filter(|stage| stage.is_of_device()) {
            let Some(device) = runners.device(&stage.code) else { continue };
            stage.runner.insert(DEVICE.to_owned(), device.name);
            self.evidence.extend(device.evidence);
        }
        self.hash = self.plan.hash();
    }

    /// The formulas of its keys.
    pub(crate) fn deriver(&self) -> KeyDeriver<'_> {
        KeyDeriver::new(&self.plan, |stage| Some(self.marks.get(&stage)?.value))
    }

    /// The formulas of the keys of a plan that differs from it in devices alone.
    pub(crate) fn deriver_of<'p>(&'p self, plan: &'p Plan) -> KeyDeriver<'p> {
        KeyDeriver::new(plan, |stage| Some(self.marks.get(&stage)?.value))
    }

    /// The code that it runs, as it lies in the store.
    pub(crate) fn needs(&self) -> impl Iterator<Item = Need> {
        let builds = self.builds.iter().map(|name| Need::Build(name.clone()));
        builds.chain(self.plan.stages.iter().map(|stage| Need::Component(stage.digest.to_string())))
    }

    /// Takes out of the lock the columns that were inferred for this run and that it could not read rows by. They may be wrong because the
    /// text says too little of the files, so once it says more they are inferred anew.
    ///
    /// # Errors
    /// If the lock can't be written.
    pub(crate) fn unpin(&self, errors: &[Error]) -> Result<(), Error> {
        let is_unread = |of: &str| {
            errors.iter().any(|error| matches!(error, Error::Source { source_name, .. } if source_name == of))
        };
        let pinned = self.lock_changes.iter().filter_map(|change| match change {
            LockChange::Columns { source, anew: false, .. } if is_unread(source) => Some(source),
            _ => None,
        });
        let unpinned: Vec<&String> = pinned.collect();
        if unpinned.is_empty() {
            return Ok(());
        }
        // Somebody may have changed it since.
        let Ok(mut lock) = Lock::parse(&read_lock(&self.lock)?) else { return Ok(()) };
        let before = lock.sources.len();
        lock.sources.retain(|name, _| !unpinned.contains(&name));
        if lock.sources.len() == before { Ok(()) } else { write_lock(&self.lock, &lock.to_string()) }
    }

    /// A source of the plan, by its index.
    pub(crate) fn source(&self, source: usize) -> Box<dyn Source> {
        flowc_sources::source(&self.plan.sources[source].spec, &self.base)
    }

    /// What is wrong with the files of a source, with the place in the text that names them.
    pub(crate) fn source_error(&self, source: &str, message: &str, cause: impl Into<Cause>) -> Error {
        let place = flowc_planner::source_place(&self.written, &self.settings, source);
        let place = place.map_or_else(String::new, |place| format!(" (named in {place})"));
        Error::Source {
            source_name: source.to_owned(),
            message: format!("{message}{place}"),
            cause: Some(cause.into()),
        }
    }
}

/// A plan as remembered under its texts and lock, and the code that it holds for.
#[derive(Serialize, Deserialize)]
struct PlanMemo {
    /// JSON: a config is of no fixed form.
    plan: String,
    hash: PlanHash,
    codes: Vec<(Code, StageDigest)>,
    images: BTreeMap<String, String>,
    /// What of the machine is in it.
    machine: Vec<OnMachine>,
}

/// Plans a pipeline.
pub(crate) struct Planning<'a> {
    /// What the caller wants.
    pub options: &'a Options,
    /// Remembers plans and answers.
    pub store: &'a Store,
    /// Describes stages.
    pub runners: &'a Runners,
    /// Hears of builds.
    pub observer: &'a dyn Observer,
    /// Gets the names of the code.
    pub compilations: &'a Compilations,
    /// Whether the lock is written when it changes.
    pub pin: bool,
}

impl Planning<'_> {
    /// Reads the texts and plans them.
    pub(crate) fn plan(&self) -> Result<Planned, Error> {
        let _span = tracing::info_span!("plan").entered();
        let began = SystemTime::now();
        self.compilations.forget_failures();
        let project = Project::load(self.options)?;
        let lock_path = project.lock_path();
        let lock_text = read_lock(&lock_path)?;
        let key = self.memo_key(&project, &lock_text);
        if !self.options.update_lock
            && let Some(planned) = self.remembered(&key, &project, &lock_text)?
        {
            return Ok(Planned { began, ..planned });
        }
        let lock = self.lock(&lock_path, &lock_text)?;
        let is_wanted = || self.compilations.is_wanted();
        let locating = self.locating(&project, &lock.images, &is_wanted);
        let mut catalogue = StageCatalogue::new(self.store, locating, &lock, self.options.locked);
        let settings = self.settings();
        let outcome = flowc_planner::plan(&project.texts, &settings, &mut catalogue);
        let plan = match outcome.value {
            Some(plan) if outcome.problems.is_empty() => plan,
            // What was stopped is no mistake.
            _ if !self.compilations.is_wanted() => return Err(Error::Cancelled),
            _ => return Err(refused(outcome.problems, &lock_path)),
        };
        check_sinks(&plan)?;
        let StageCatalogue { codes, images, schemas, evidence, builds, .. } = catalogue;
        let new_lock = Lock {
            components: codes.iter().map(|(code, digest)| (code.to_string(), *digest)).collect(),
            images: images.clone(),
            sources: schemas,
            ..Lock::default()
        };
        let new_text = new_lock.to_string();
        let lock_changes = LockChange::between(&lock, &new_lock);
        if self.pin && !self.options.locked && new_text != lock_text {
            write_lock(&lock_path, &new_text)?;
        }
        let codes: Vec<(Code, StageDigest)> = codes.into_iter().collect();
        let machine = codes.iter().map(|(code, _)| self.runners.on_machine(code)).collect();
        let memo = PlanMemo { plan: plan.canonical(), hash: plan.hash(), codes, images, machine };
        let pinned = if self.options.locked { &lock_text } else { &new_text };
        if new_text == lock_text || self.pin || self.options.locked {
            self.store.remember(PLAN, &self.memo_key(&project, pinned), &memo)?;
        }
        let hash = memo.hash;
        Ok(Planned { began, evidence, builds, lock_changes, ..planned(plan, hash, &project, pinned, settings) })
    }

    /// Under what a plan is remembered: its texts, and the lock as it will be when it is asked for again.
    fn memo_key(&self, project: &Project, lock_text: &str) -> [u8; 32] {
        let mut hasher = KeyHasher::new("plan");
        hasher.digest(&project.digest).bytes(lock_text.as_bytes()).number(u64::from(self.options.locked));
        // What may be said of a stage depends on whether it can run elsewhere.
        hasher.number(u64::from(self.runners.is_remote())).finish()
    }

    /// The plan of equal texts and an equal lock, if all code is still the same.
    fn remembered(&self, key: &[u8; 32], project: &Project, lock: &str) -> Result<Option<Planned>, Error> {
        let Some(memo) = self.store.memo::<PlanMemo>(PLAN, key)? else { return Ok(None) };
        let Ok(plan) = serde_json::from_str(&memo.plan) else { return Ok(None) };
        if !memo.codes.iter().map(|(code, _)| self.runners.on_machine(code)).eq(memo.machine) {
            return Ok(None);
        }
        let is_wanted = || self.compilations.is_wanted();
        let locating = self.locating(project, &memo.images, &is_wanted);
        locating.code.leave_out(&OwnFiles::of(&plan));
        let (mut evidence, mut builds) = (Evidence::default(), Vec::new());
        for (code, digest) in &memo.codes {
            match locating.locate(code) {
                Ok(located) if located.digest == *digest => {
                    evidence.extend(located.evidence);
                    builds.extend(located.builds);
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(Planned { evidence, builds, ..planned(plan, memo.hash, project, lock, self.settings()) }))
    }

    fn settings(&self) -> Settings {
        let (params, ambient) = (self.options.params.clone(), self.options.ambient.clone());
        Settings { params, ambient, remote: self.runners.is_remote() }
    }

    fn locating<'p>(
        &'p self,
        project: &'p Project,
        pins: &'p BTreeMap<String, String>,
        is_wanted: &'p (dyn Fn() -> bool + Sync),
    ) -> Locating<'p> {
        let texts = project.files.iter().cloned().chain([project.lock_path()]).collect();
        Locating {
            runners: self.runners,
            code: CodeReading::new(self.store, &self.runners.snapshots, &project.base, texts),
            pins,
            build: self.options.build,
            observer: self.observer,
            compilations: self.compilations,
            is_wanted,
        }
    }

    fn lock(&self, path: &std::path::Path, text: &str) -> Result<Lock, Error> {
        if self.options.update_lock || text.is_empty() {
            return Ok(Lock::default());
        }
        Lock::parse(text).map_err(|error| {
            let message = format!("{}: {error}", path.display());
            Error::Locked { message, problems: Vec::new() }
        })
    }
}

fn planned(plan: Plan, hash: PlanHash, project: &Project, lock: &str, settings: Settings) -> Planned {
    let read = project.read.iter().cloned().chain([(project.lock_path(), project::hash(lock))]);
    Planned {
        read: read.collect(),
        units: units(&plan),
        plan: Arc::new(plan),
        hash,
        lock_changes: Vec::new(),
        texts: project.files.clone(),
        lock: project.lock_path(),
        evidence: Evidence::default(),
        builds: Vec::new(),
        began: SystemTime::now(),
        base: project.base.clone(),
        marks: Marks::new(),
        written: Arc::clone(&project.texts),
        settings,
    }
}

/// Mistakes of the pipeline count for more than what the machine lacks, and that for more than what does not fit the lock.
fn refused(problems: Vec<Diagnostic>, lock: &std::path::Path) -> Error {
    if problems.iter().all(Diagnostic::is_against_lock) {
        let message = format!("the pipeline does not fit {}", lock.file_name().unwrap_or_default().display());
        return Error::Locked { message, problems };
    }
    match problems.iter().all(|problem| problem.is_against_lock() || problem.is_of_machine()) {
        true => Error::Machine(problems),
        false => Error::Pipeline(problems),
    }
}

/// What formats can't hold is known before anything runs, and told of all sinks at once.
fn check_sinks(plan: &Plan) -> Result<(), Error> {
    let check = |sink: &Sink| {
        let fits = flowc_sinks::check(&sink.spec, &shown_columns(&plan.stream(sink.stream).schema));
        fits.err().map(|error| Error::sink(&sink.name, error))
    };
    let mut errors = plan.sinks.iter().filter_map(check);
    let Some(first) = errors.next() else { return Ok(()) };
    Err(errors.fold(first, |first, next| match first {
        Error::Sink { sink, message, cause } => Error::Sink { sink, message: format!("{message}\n{next}"), cause },
        other => other,
    }))
}

fn read_lock(path: &std::path::Path) -> Result<String, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(cause) => Err(advised(path, cause, "let it be read: it pins what the pipeline runs and reads")),
    }
}

/// What the system refuses of the lock, with what to do.
fn advised(path: &std::path::Path, cause: std::io::Error, advice: &str) -> Error {
    let cause = match cause.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            std::io::Error::new(cause.kind(), format!("{cause} ({advice})"))
        }
        _ => cause,
    };
    Error::File { path: path.to_path_buf(), cause }
}

/// Written beside and renamed, so that a lock is whole or as it was.
fn write_lock(path: &std::path::Path, text: &str) -> Result<(), Error> {
    let advice = "the run pins there what it found: let its folder be written, or commit a lock that pins all, with which nothing is written";
    let failed = |cause| advised(path, cause, advice);
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
