//! The deterministic, empty WASI: fixed clocks, seeded random numbers, no files, no sockets, no arguments, no
//! environment. Standard output and error go to the stage's log.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flowc_planner::catalogue::Problem;
use flowc_planner::key::KeyHasher;
use flowc_platform::lock;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView, async_trait};

use crate::log::{LOG_LINE_BYTES, LOG_LINES};

/// Names this environment in the keys of stages that use it: another one could change what they answer.
pub(crate) const VERSION: &str = "1";

/// Whether components may import it.
///
/// # Errors
/// None: this flowc has it.
pub(crate) fn check() -> Result<(), Problem> {
    Ok(())
}

/// Adds its functions to what components find.
///
/// # Errors
/// If some are there already.
pub(crate) fn link<T: WasiView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)
}

/// What a component sees of the system.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    output: Output,
}

impl Wasi {
    pub(crate) fn new() -> Self {
        let output = Output::default();
        let mut builder = WasiCtx::builder();
        builder.stdout(output.clone()).stderr(output.clone()).wall_clock(Stopped).monotonic_clock(Stopped);
        builder.secure_random(Deterministic::new(RANDOM.clone())).insecure_random(Deterministic::new(RANDOM.clone()));
        builder.insecure_random_seed(0).allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        Self { ctx: builder.build(), table: ResourceTable::new(), output }
    }

    /// What wasmtime's functions of WASI work on.
    pub(crate) fn view(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }

    /// What was written since, by lines.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.output.lock());
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

/// The same bytes for everybody, over and over.
static RANDOM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let block = |number| KeyHasher::new("flowc wasi random 1").number(number).finish();
    (0..128).flat_map(block).collect()
});

/// A clock that stands at the start of 1970.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Standard output and error, kept until the host asks. What goes beyond the log's bounds is dropped.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

const MOST: usize = LOG_LINES * LOG_LINE_BYTES;

impl Output {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        lock(&self.0)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    /// Of use to another version of WASI only, which is not linked: it swallows everything.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        MemoryOutputPipe::new(0).async_stream()
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.lock();
        let room = MOST.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LOG_LINE_BYTES)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}
