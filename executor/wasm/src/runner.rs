//! The runner: components by digest, compiled on first use, asked and opened.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::Limits;
use flowc_platform::lock;
use flowc_runner::{Instance, Invocation, Outlet, Runner, StageError, StageFault};

use crate::component::{Loaded, compile, compiled_name, load_kept, load_new};
use crate::engine::{Machine, Purpose};
use crate::instance::{WasmInstance, needs_interrupts};
use crate::{CompiledCache, WasmError, question};

/// Runs stages that are wasm components. Cheap to make: there is no engine until a component is used.
pub struct WasmRunner {
    cache: Arc<dyn CompiledCache>,
    /// Work of a component for which it is worth to compile it once more.
    enough: Duration,
    machines: PerPurpose<Machine, WasmError>,
    components: Mutex<HashMap<StageDigest, Arc<Entry>>>,
}

/// Work of a component for which fast code is compiled: what that saves is paid for after some times as much.
const ENOUGH: Duration = Duration::from_millis(250);

/// Something that is made when it is needed, for each purpose of code.
struct PerPurpose<T, E> {
    first: OnceLock<Result<T, E>>,
    fast: OnceLock<Result<T, E>>,
    interruptible: OnceLock<Result<T, E>>,
}

impl<T, E> Default for PerPurpose<T, E> {
    fn default() -> Self {
        Self { first: OnceLock::new(), fast: OnceLock::new(), interruptible: OnceLock::new() }
    }
}

impl<T, E: Clone> PerPurpose<T, E> {
    fn get_or_make(&self, purpose: Purpose, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let made = match purpose {
            Purpose::First => &self.first,
            Purpose::Fast => &self.fast,
            Purpose::Interruptible => &self.interruptible,
        };
        made.get_or_init(make).as_ref().map_err(E::clone)
    }
}

/// A component as sealed files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentFiles {
    /// The component itself.
    pub component: PathBuf,
    /// What it is compiled to on this machine. Of the name that the cache is asked for.
    pub compiled: PathBuf,
}

/// A registered component, and what is known of it by now.
struct Entry {
    bytes: Cow<'static, [u8]>,
    digest: StageDigest,
    content: OnceLock<StageDigest>,
    /// Its code. The first one is the fast one where that was compiled before.
    loaded: PerPurpose<Arc<Loaded>, Problem>,
    signature: OnceLock<Result<Signature, Problem>>,
}

impl WasmRunner {
    /// A runner that keeps compiled components in `cache`.
    ///
    /// # Errors
    /// If this machine is not one that code can be made for.
    pub fn new(cache: Arc<dyn CompiledCache>) -> Result<Self, WasmError> {
        if !(cfg!(target_arch = "x86_64") || cfg!(target_arch = "aarch64")) {
            return Err(WasmError::Engine(format!("no code can be made for {}", std::env::consts::ARCH)));
        }
        Ok(Self { cache, enough: ENOUGH, machines: PerPurpose::default(), components: Mutex::default() })
    }

    /// Has it compile components for speed once they have worked so long, instead of after a fixed time.
    #[must_use]
    pub fn fast_after(self, enough: Duration) -> Self {
        Self { enough, ..self }
    }

    /// Registers a component under its digest. It is compiled, or loaded from the cache, on first use, once.
    pub fn add(&self, component: impl Into<Cow<'static, [u8]>>, digest: StageDigest) {
        let mut components = lock(&self.components);
        components.entry(digest).or_insert_with(|| Arc::new(Entry::new(component.into(), digest)));
    }

    /// Forgets a component. Instances that are open go on.
    pub fn remove(&self, digest: &StageDigest) {
        let mut components = lock(&self.components);
        components.remove(digest);
    }

    /// The digest of a registered component's bytes, whatever digest it is registered under.
    ///
    /// # Errors
    /// If it was never registered.
    pub fn content(&self, digest: &StageDigest) -> Result<StageDigest, Problem> {
        let entry = self.entry(digest)?;
        Ok(*entry.content.get_or_init(|| Self::digest(&entry.bytes)))
    }

    /// A registered component itself.
    ///
    /// # Errors
    /// If it was never registered.
    pub fn bytes(&self, digest: &StageDigest) -> Result<Vec<u8>, Problem> {
        Ok(self.entry(digest)?.bytes.to_vec())
    }

    /// Compiles a registered component for invocations with such limits, if it was not yet.
    ///
    /// # Errors
    /// If it is no stage.
    pub fn prepare(&self, digest: &StageDigest, limits: &Limits) -> Result<(), Problem> {
        let entry = self.entry(digest)?;
        self.loaded(&entry, limits).map(|_| ())
    }

    /// The identity of a component.
    pub fn digest(component: &[u8]) -> StageDigest {
        StageDigest::new(KeyHasher::new("flowc component 1").bytes(component).finish())
    }

    /// What a registered component is, before any config.
    ///
    /// # Errors
    /// If it is no stage, or describes itself wrongly.
    pub fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        let entry = self.entry(digest)?;
        let ask = || question::signature(self.loaded(&entry, &Limits::default())?, entry.digest);
        entry.signature.get_or_init(ask).clone()
    }

    /// What a registered component makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with the stage.
    pub fn describe(&self, question: &Question) -> Result<Description, Problem> {
        let signature = self.signature(&question.digest)?;
        let entry = self.entry(&question.digest)?;
        question::describe(self.loaded(&entry, &Limits::default())?, &signature, question)
    }

    /// A registered component as sealed files of the cache, for a process of its own. It is compiled if it was not yet.
    ///
    /// # Errors
    /// If it is no stage, or the cache can't keep it.
    pub fn files(&self, digest: &StageDigest) -> Result<ComponentFiles, Problem> {
        let entry = self.entry(digest)?;
        self.loaded_for(&entry, Purpose::Fast)?;
        let unkept = || Problem::new("the component can't be kept for a process of its own");
        let machine = self.machine(Purpose::Fast)?;
        let file = |name: String, make: &dyn Fn() -> Result<Vec<u8>, Problem>| -> Result<PathBuf, Problem> {
            match self.cache.find(&name) {
                Some(path) => Ok(path),
                None => self.cache.put(&name, &make()?).ok_or_else(unkept),
            }
        };
        let component = file(format!("{digest}.wasm"), &|| Ok(entry.bytes.to_vec()))?;
        let compiled = file(compiled_name(machine, digest), &|| compile(machine, &entry.bytes))?;
        Ok(ComponentFiles { component, compiled })
    }

    fn entry(&self, digest: &StageDigest) -> Result<Arc<Entry>, Problem> {
        let components = lock(&self.components);
        let entry = components.get(digest).cloned();
        entry.ok_or_else(|| Problem::new(format!("the component {} was never registered", digest.short())))
    }

    fn machine(&self, purpose: Purpose) -> Result<&Machine, Problem> {
        let machine = self.machines.get_or_make(purpose, || Machine::new(purpose));
        machine.map_err(|error| Problem::new(error.to_string()))
    }

    /// The code of a component for invocations with such limits.
    fn loaded(&self, entry: &Entry, limits: &Limits) -> Result<Arc<Loaded>, Problem> {
        if needs_interrupts(limits) {
            return self.loaded_for(entry, Purpose::Interruptible);
        }
        let first = entry.loaded.get_or_make(Purpose::First, || match self.kept(entry, Purpose::Fast) {
            Some(fast) => Ok(fast),
            None => self.load(entry, Purpose::First),
        })?;
        match !first.is_fast && first.worked.total() >= self.enough {
            true => self.loaded_for(entry, Purpose::Fast),
            false => Ok(first.clone()),
        }
    }

    fn loaded_for(&self, entry: &Entry, purpose: Purpose) -> Result<Arc<Loaded>, Problem> {
        entry.loaded.get_or_make(purpose, || self.load(entry, purpose)).cloned()
    }

    fn load(&self, entry: &Entry, purpose: Purpose) -> Result<Arc<Loaded>, Problem> {
        if let Some(kept) = self.kept(entry, purpose) {
            return Ok(kept);
        }
        // Told once: where there is code already, a run has begun to work.
        if entry.loaded.first.get().is_none() {
            self.cache.compiling(&entry.digest);
        }
        load_new(self.machine(purpose)?, &*self.cache, &entry.bytes, &entry.digest).map(Arc::new)
    }

    /// Code that was compiled before.
    fn kept(&self, entry: &Entry, purpose: Purpose) -> Option<Arc<Loaded>> {
        load_kept(self.machine(purpose).ok()?, &*self.cache, &entry.digest).map(Arc::new)
    }
}

impl Runner for WasmRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let failed = |problem: Problem| {
            let fault = StageFault::Problem { message: problem.message, config_path: None };
            StageError::new(&*invocation.stage, fault)
        };
        let entry = self.entry(&invocation.digest).map_err(failed)?;
        let loaded = self.loaded(&entry, &invocation.limits).map_err(failed)?;
        Ok(Box::new(WasmInstance::open(&loaded, invocation, outlet)?))
    }
}

impl Entry {
    fn new(bytes: Cow<'static, [u8]>, digest: StageDigest) -> Self {
        let loaded = PerPurpose::default();
        Self { bytes, digest, content: OnceLock::new(), loaded, signature: OnceLock::new() }
    }
}
