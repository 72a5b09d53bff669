//! Compiled components in the store, and the telling of compilations and builds: they take seconds, and can be stopped.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use flowc_planner::catalogue::Problem;
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Code;
use flowc_platform::{is_sealed, lock};
use flowc_store::{Area, Store};
use flowc_wasm::{CompiledCache, InstalledCode, WasmError, WasmRunner};

use crate::{Cancel, Event, Observer};

/// Who hears of compilations and builds, and what the stages are called.
#[derive(Default)]
pub(crate) struct Compilations(Mutex<Told>);

#[derive(Default)]
struct Told {
    observer: Option<Arc<dyn Observer>>,
    cancel: Cancel,
    codes: HashMap<StageDigest, String>,
    failures: HashMap<String, Problem>,
}

impl Compilations {
    /// From now on this observer hears of them, and they are for what can be stopped so.
    pub(crate) fn tell(&self, observer: Arc<dyn Observer>, cancel: Cancel) {
        let mut told = self.lock();
        (told.observer, told.cancel) = (Some(observer), cancel);
    }

    /// Whether what they are for was not stopped.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.lock().cancel.is_cancelled()
    }

    /// Says what a component is called.
    pub(crate) fn name(&self, digest: StageDigest, code: &Code) {
        self.lock().codes.insert(digest, code.to_string());
    }

    /// What a stage is called.
    pub(crate) fn called(&self, digest: &StageDigest) -> String {
        self.lock().codes.get(digest).cloned().unwrap_or_else(|| digest.short())
    }

    /// Builds something, and tells of it.
    pub(crate) fn built<T, E>(
        &self,
        code: String,
        build: impl FnOnce(&mut dyn FnMut(&str)) -> Result<T, E>,
    ) -> Result<T, E> {
        self.observe(Event::BuildStarted { code: code.clone() });
        let start = Instant::now();
        let built = build(&mut |line: &str| {
            self.observe(Event::BuildLog { code: code.clone(), message: line.to_owned() });
        })?;
        self.observe(Event::BuildFinished { code, seconds: start.elapsed().as_secs_f64() });
        Ok(built)
    }

    /// Notes that this code can't be built: while a pipeline is planned it is asked for more than once.
    pub(crate) fn failed(&self, code: String, problem: Problem) -> Problem {
        self.lock().failures.insert(code, problem.clone());
        problem
    }

    /// Why this code could not be built just now.
    pub(crate) fn failure(&self, code: &str) -> Option<Problem> {
        self.lock().failures.get(code).cloned()
    }

    /// From now on everything may be built again.
    pub(crate) fn forget_failures(&self) {
        self.lock().failures.clear();
    }

    fn observe(&self, event: Event) {
        let observer = self.lock().observer.clone();
        if let Some(observer) = observer {
            observer.observe(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        lock(&self.0)
    }
}

/// Keeps compiled components in the store, beside those that came with the program.
struct StoreCache {
    store: Store,
    installed: Option<InstalledCode>,
    compilations: Arc<Compilations>,
}

impl CompiledCache for StoreCache {
    fn find(&self, name: &str) -> Option<PathBuf> {
        let installed = self.installed.as_ref().and_then(|installed| installed.find(name));
        installed.or_else(|| Some(self.store.cached_file(Area::Cwasm, name)).filter(|path| is_sealed(path)))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Option<PathBuf> {
        self.store.put_sealed(Area::Cwasm, name, bytes).ok()
    }

    fn compiling(&self, digest: &StageDigest) {
        let code = self.compilations.called(digest);
        self.compilations.observe(Event::CompileStarted { code });
    }
}

/// A runner whose compiled components came with the program, or are kept in a store.
pub(crate) fn wasm_runner(
    store: &Store,
    installed: Option<InstalledCode>,
    compilations: Arc<Compilations>,
) -> Result<Arc<WasmRunner>, WasmError> {
    Ok(Arc::new(WasmRunner::new(Arc::new(StoreCache { store: store.clone(), installed, compilations }))?))
}
