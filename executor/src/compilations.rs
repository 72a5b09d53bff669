//! Compiled components in the store, and the telling of compilations: they take seconds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowc_planner::key::StageDigest;
use flowc_planner::plan::Code;
use flowc_store::{Area, Store};
use flowc_wasm::{CompiledCache, WasmError, WasmRunner};

use crate::{Event, Observer};

/// Who hears of compilations, and what the components are called.
#[derive(Default)]
pub(crate) struct Compilations(Mutex<Told>);

#[derive(Default)]
struct Told {
    observer: Option<Arc<dyn Observer>>,
    codes: HashMap<StageDigest, String>,
}

impl Compilations {
    /// From now on this observer hears of them.
    pub(crate) fn tell(&self, observer: Arc<dyn Observer>) {
        self.lock().observer = Some(observer);
    }

    /// Says what a component is called.
    pub(crate) fn name(&self, digest: StageDigest, code: &Code) {
        self.lock().codes.insert(digest, code.to_string());
    }

    fn started(&self, digest: &StageDigest) {
        let told = self.lock();
        let code = told.codes.get(digest).cloned().unwrap_or_else(|| digest.short());
        let observer = told.observer.clone();
        drop(told);
        if let Some(observer) = observer {
            observer.observe(Event::CompileStarted { code });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps compiled components in the store.
struct StoreCache {
    store: Store,
    compilations: Arc<Compilations>,
}

impl CompiledCache for StoreCache {
    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.store.cached_file(Area::Cwasm, name);
        path.exists().then_some(path)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Option<PathBuf> {
        self.store.put_file(Area::Cwasm, name, bytes).ok()
    }

    fn compiling(&self, digest: &StageDigest) {
        self.compilations.started(digest);
    }
}

/// A runner whose compiled components are kept in a store.
pub(crate) fn wasm_runner(store: &Store, compilations: Arc<Compilations>) -> Result<Arc<WasmRunner>, WasmError> {
    Ok(Arc::new(WasmRunner::new(Arc::new(StoreCache { store: store.clone(), compilations }))?))
}
