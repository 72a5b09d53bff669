//! Threads with room for deep plans: the engine goes through plans by recursion, and a stack that is full ends the process.

use std::future::Future;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

/// Bytes of stack for planning and running a query.
const STACK: usize = 64 << 20;

/// Does something on a thread with a deep stack.
pub(crate) fn deep<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        match thread.expect("a thread for a query").join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A runtime of one thread, so that nothing depends on which of several is faster.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime of one thread needs nothing")
}

/// The threads of all queries that run in partitions, one for each processor that this program may use. None where there is but one.
pub(crate) fn threads() -> Option<&'static Runtime> {
    static THREADS: LazyLock<Option<Runtime>> = LazyLock::new(|| {
        let count = std::thread::available_parallelism().ok()?.get();
        let build = || Builder::new_multi_thread().worker_threads(count).thread_stack_size(STACK).build().ok();
        if count > 1 { build() } else { None }
    });
    THREADS.as_ref()
}

/// Waits for the engine.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    runtime().block_on(work)
}
