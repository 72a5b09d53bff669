//! The wasm engines: one for all stages, one that can interrupt, for stages with a timeout, and one that compiles fast, for stages
//! that have not worked much. Interruptible code is 1.7-4.3 times slower on loops over text and bytes (DESIGN section 5). What is
//! compiled fast takes half of the time to compile, and is a third slower.

use std::hash::{DefaultHasher, Hash, Hasher};

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, OptLevel, RegallocAlgorithm};

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

/// What code is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be there soon.
    First,
    /// To be fast.
    Fast,
    /// To be fast, and stopped when its time is over.
    Interruptible,
}

/// An engine, and what components find in it.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    /// What its code is made for.
    pub(crate) purpose: Purpose,
    /// The imports of `flowc:stage/data`.
    pub(crate) bare: Linker<Host>,
    /// The same, with the deterministic WASI.
    pub(crate) with_wasi: Linker<Host>,
    /// Names the engine's version and settings within the names of compiled components.
    pub(crate) compatibility: u64,
}

impl Machine {
    pub(crate) fn new(purpose: Purpose) -> Result<Self, WasmError> {
        let make = || -> wasmtime::Result<Self> {
            let engine = Engine::new(&config(purpose)?)?;
            let mut bare = Linker::new(&engine);
            data::link(&mut bare)?;
            let mut with_wasi = Linker::new(&engine);
            data::link(&mut with_wasi)?;
            wasi::link(&mut with_wasi)?;
            let compatibility = compatibility(&engine);
            Ok(Self { engine, purpose, bare, with_wasi, compatibility })
        };
        let machine = make().map_err(|error| WasmError::Engine(format!("{error:#}")))?;
        if purpose == Purpose::Interruptible {
            tick(&machine.engine)?;
        }
        Ok(machine)
    }
}

/// Threads are left out of the build of wasmtime.
fn config(purpose: Purpose) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    let (level, registers) = match purpose {
        Purpose::First => (OptLevel::None, RegallocAlgorithm::SinglePass),
        Purpose::Fast | Purpose::Interruptible => (OptLevel::Speed, RegallocAlgorithm::Backtracking),
    };
    config
        .cranelift_opt_level(level)
        .cranelift_regalloc_algorithm(registers)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .concurrency_support(false)
        .max_wasm_stack(WASM_STACK)
        .memory_init_cow(true)
        .epoch_interruption(purpose == Purpose::Interruptible);
    for_like_processors(&mut config)?;
    Ok(config)
}

/// Has code made for x86-64-v3, processors since 2013, where this processor is one: such code is the same on all of them, so an
/// installation can bring it. Other processors get code for all that they can do.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn for_like_processors(config: &mut Config) -> wasmtime::Result<()> {
    use std::arch::is_x86_feature_detected as can;

    let is_v2 = can!("sse4.2") && can!("popcnt") && can!("cmpxchg16b");
    if is_v2 && can!("avx2") && can!("bmi1") && can!("bmi2") && can!("fma") && can!("lzcnt") {
        config.target("x86_64-unknown-linux-gnu")?;
        // SAFETY: the processor can do all that this lets code use.
        unsafe { config.cranelift_flag_enable("x86-64-v3") };
    }
    Ok(())
}

/// Other systems get code for all that their processor can do.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn for_like_processors(_: &mut Config) -> wasmtime::Result<()> {
    Ok(())
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
