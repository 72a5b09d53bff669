//! The wasm engines: one for all stages, and one that can interrupt, for stages with a timeout. Interruptible code is
//! 1.7-4.3 times slower on loops over text and bytes (DESIGN section 5).

use std::hash::{DefaultHasher, Hash, Hasher};

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, OptLevel};

use crate::WasmError;
use crate::clock::TICK;
use crate::data;
use crate::host::Host;
use crate::wasi;

/// Stack that one instance can take. A chain of collapsed stages runs on one thread: the stack of that thread must hold
/// this much for each of them, or a stage whose stack overflows takes the process with it.
pub const STACK_PER_INSTANCE: usize = WASM_STACK + HOST_STACK;

/// Fixed, so that a stage overflows at the same depth everywhere.
const WASM_STACK: usize = 1 << 20;
/// For the imports, and what an outlet does between two instances.
const HOST_STACK: usize = 256 << 10;

/// An engine, and what components find in it.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    /// The imports of `flowc:stage/data`.
    pub(crate) bare: Linker<Host>,
    /// The same, with the deterministic WASI.
    pub(crate) with_wasi: Linker<Host>,
    /// Names the engine's version and settings within the names of compiled components.
    pub(crate) compatibility: u64,
}

impl Machine {
    pub(crate) fn new(interruptible: bool) -> Result<Self, WasmError> {
        let make = || -> wasmtime::Result<Self> {
            let engine = Engine::new(&config(interruptible))?;
            let mut bare = Linker::new(&engine);
            data::link(&mut bare)?;
            let mut with_wasi = Linker::new(&engine);
            data::link(&mut with_wasi)?;
            wasi::link(&mut with_wasi)?;
            let compatibility = compatibility(&engine);
            Ok(Self { engine, bare, with_wasi, compatibility })
        };
        let machine = make().map_err(|error| WasmError::Engine(format!("{error:#}")))?;
        if interruptible {
            tick(&machine.engine)?;
        }
        Ok(machine)
    }
}

/// Threads are left out of the build of wasmtime.
fn config(interruptible: bool) -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .concurrency_support(false)
        .max_wasm_stack(WASM_STACK)
        .memory_init_cow(true)
        .epoch_interruption(interruptible);
    config
}

fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// Moves the epoch until the engine is gone.
fn tick(engine: &Engine) -> Result<(), WasmError> {
    let engine = engine.weak();
    let run = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    let thread = std::thread::Builder::new().name("flowc-wasm-ticker".to_owned()).spawn(run);
    thread.map(|_| ()).map_err(|error| WasmError::Engine(format!("no thread for timeouts: {error}")))
}
