//! The runner: components by digest, compiled on first use, asked and opened.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::{KeyHasher, StageDigest};
use flowc_planner::plan::Limits;
use flowc_runner::{Instance, Invocation, Outlet, Runner, StageError, StageFault};

use crate::component::{Loaded, compile, compiled_name, load};
use crate::engine::Machine;
use crate::instance::{WasmInstance, needs_interrupts};
use crate::{CompiledCache, WasmError, question};

/// Runs stages that are wasm components. Cheap to make: there is no engine until a component is used.
pub struct WasmRunner {
    cache: Arc<dyn CompiledCache>,
    plain: OnceLock<Result<Machine, WasmError>>,
    interruptible: OnceLock<Result<Machine, WasmError>>,
    components: Mutex<HashMap<StageDigest, Arc<Entry>>>,
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
    plain: OnceLock<Result<Arc<Loaded>, Problem>>,
    interruptible: OnceLock<Result<Arc<Loaded>, Problem>>,
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
        let (plain, interruptible) = (OnceLock::new(), OnceLock::new());
        Ok(Self { cache, plain, interruptible, components: Mutex::default() })
    }

    /// Registers a component under its digest. It is compiled, or loaded from the cache, on first use, once.
    pub fn add(&self, component: impl Into<Cow<'static, [u8]>>, digest: StageDigest) {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components.entry(digest).or_insert_with(|| Arc::new(Entry::new(component.into(), digest)));
    }

    /// Forgets a component. Instances that are open go on.
    pub fn remove(&self, digest: &StageDigest) {
        let mut components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.loaded(&entry, needs_interrupts(limits)).map(|_| ())
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
        let ask = || question::signature(self.loaded(&entry, false)?, entry.digest);
        entry.signature.get_or_init(ask).clone()
    }

    /// What a registered component makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with the stage.
    pub fn describe(&self, question: &Question) -> Result<Description, Problem> {
        let signature = self.signature(&question.digest)?;
        let entry = self.entry(&question.digest)?;
        question::describe(self.loaded(&entry, false)?, &signature, question)
    }

    /// A registered component as sealed files of the cache, for a process of its own. It is compiled if it was not yet.
    ///
    /// # Errors
    /// If it is no stage, or the cache can't keep it.
    pub fn files(&self, digest: &StageDigest) -> Result<ComponentFiles, Problem> {
        let entry = self.entry(digest)?;
        self.loaded(&entry, false)?;
        let unkept = || Problem::new("the component can't be kept for a process of its own");
        let machine = self.plain.get().and_then(|machine| machine.as_ref().ok()).ok_or_else(unkept)?;
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
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = components.get(digest).cloned();
        entry.ok_or_else(|| Problem::new(format!("the component {} was never registered", digest.short())))
    }

    fn loaded(&self, entry: &Entry, interruptible: bool) -> Result<Arc<Loaded>, Problem> {
        let (machine, loaded) = match interruptible {
            true => (&self.interruptible, &entry.interruptible),
            false => (&self.plain, &entry.plain),
        };
        let load = || {
            let machine = machine.get_or_init(|| Machine::new(interruptible));
            let machine = machine.as_ref().map_err(|error| Problem::new(error.to_string()))?;
            load(machine, &*self.cache, &entry.bytes, &entry.digest).map(Arc::new)
        };
        loaded.get_or_init(load).clone()
    }
}

impl Runner for WasmRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let interruptible = needs_interrupts(&invocation.limits);
        let loaded = self.entry(&invocation.digest).and_then(|entry| self.loaded(&entry, interruptible));
        let loaded = loaded.map_err(|problem| {
            let fault = StageFault::Problem { message: problem.message, config_path: None };
            StageError::new(&*invocation.stage, fault)
        })?;
        Ok(Box::new(WasmInstance::open(&loaded, invocation, outlet)?))
    }
}

impl Entry {
    fn new(bytes: Cow<'static, [u8]>, digest: StageDigest) -> Self {
        let (plain, interruptible, signature) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { bytes, digest, content: OnceLock::new(), plain, interruptible, signature }
    }
}
