//! The places where the stage runs, and the ways there.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use arrow_array::RecordBatch;
use flowc_planner::catalogue::Question;
use flowc_planner::key::{Phase, StageDigest};
use flowc_planner::plan::{Code, Isolate, Limits, Serialization};
use flowc_process::Host;
use flowc_runner::{Batch, InputPort, Invocation, Outlet, OutputPort, Runner, Secrets, StageError};
use flowc_wasm::{CompiledFolder, WasmRunner};
use flowc_wasm_process::{ComponentLauncher, RegisteredComponent, WasmProcessRunner};
use flowc_worker::WorkerRunner;

use crate::entities::entities;

/// Memory of an instance.
const MEMORY: u64 = 1 << 30;

/// Where the stage runs.
pub(crate) struct Places {
    pub(crate) inside: Arc<WasmRunner>,
    /// Whose batches go through the socket.
    pub(crate) process: WasmProcessRunner,
    /// Whose batches lie in shared memory.
    pub(crate) sharing: WasmProcessRunner,
    pub(crate) worker: WorkerRunner,
    digest: StageDigest,
    _worker: Worker,
    _home: tempfile::TempDir,
}

impl Places {
    /// `flowc` is the binary that a worker is started of, `guest` the folder of the stage.
    pub(crate) fn new(flowc: &Path, guest: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let helper = std::env::current_exe().unwrap();
        let component = flowc_componentize::component(guest, &compiled(&helper)).unwrap();
        let inside = Arc::new(WasmRunner::new(Arc::new(CompiledFolder(home.path().to_owned()))).unwrap());
        let digest = WasmRunner::digest(&component);
        inside.add(component, digest);
        let host = || Host::new(helper.clone(), home.path().to_owned());
        let (sharing, host) = (Arc::new(host()), Arc::new(host().without_shared_memory()));
        let process = |host: Arc<Host>| {
            let runner = WasmProcessRunner::new(ComponentLauncher::new(host, inside.clone()), MEMORY);
            runner.add(RegisteredComponent(digest));
            runner
        };
        let credentials = home.path().join("worker.json");
        let worker = Worker::start(flowc, &credentials);
        Self {
            process: process(host.clone()),
            sharing: process(sharing),
            worker: WorkerRunner::new(host, inside.clone(), vec![credentials]),
            inside,
            digest,
            _worker: worker,
            _home: home,
        }
    }
}

/// Where what the stage is built of stays, as that of tests does: below the target folder.
fn compiled(example: &Path) -> PathBuf {
    example.ancestors().nth(3).unwrap().join("tmp/guests")
}

/// `flowc worker` on this host. Dropping it ends it.
struct Worker(Child);

impl Worker {
    fn start(flowc: &Path, credentials: &Path) -> Self {
        let mut command = Command::new(flowc);
        command.args(["worker", "--listen", "127.0.0.1:0", "--json", "--credentials"]).arg(credentials);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        // It says where it listens.
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        Self(process)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // What it leaves behind goes with the temporary folder.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A way to the stage and back.
pub(crate) struct Edge<'a> {
    pub(crate) transport: &'static str,
    runner: &'a dyn Runner,
    invocation: Invocation,
}

impl<'a> Edge<'a> {
    pub(crate) fn new(
        places: &Places,
        transport: &'static str,
        runner: &'a dyn Runner,
        serialization: Serialization,
    ) -> Self {
        let schema = entities(0, 0).schema();
        let question = Question {
            code: Code::Wasm(String::new()),
            digest: places.digest,
            config: serde_json::json!({}),
            inputs: vec![schema.clone()],
        };
        let output = places.inside.describe(&question).unwrap().outputs.remove(0);
        let needed = vec![true; output.columns.len()];
        let isolate = Isolate::Process;
        let limits = Limits { isolate, serialization, memory: Some(MEMORY), ..Limits::default() };
        let invocation = Invocation {
            stage: "entities".into(),
            digest: places.digest,
            config: "{}".into(),
            phase: Phase::Run,
            part: 0,
            inputs: Arc::new([InputPort { reads: (0..schema.fields().len()).collect(), schema, identity: None }]),
            main_input: Some(0),
            outputs: Arc::new([OutputPort {
                schema: output.schema,
                rows: output.rows,
                columns: output.columns,
                needed,
            }]),
            limits,
            secrets: Secrets::default(),
        };
        Self { transport, runner, invocation }
    }

    pub(crate) fn serialization(&self) -> Serialization {
        self.invocation.limits.serialization
    }

    /// Seconds for all rows there and back, in batches of so many; from the opening of an invocation to its end.
    pub(crate) fn pass(&self, all: &RecordBatch, rows: usize) -> f64 {
        let seen = Seen::default();
        let start = Instant::now();
        let mut instance = self.runner.open(&self.invocation, Box::new(seen.clone())).unwrap();
        for first in (0..all.num_rows()).step_by(rows) {
            let batch = all.slice(first, rows.min(all.num_rows() - first));
            instance.push(0, Batch::from_record_batch(&batch)).unwrap();
        }
        instance.end_of_input(0).unwrap();
        instance.finish().unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(seen.0.load(Ordering::Relaxed), all.num_rows());
        seconds
    }
}

/// Counts rows.
#[derive(Clone, Default)]
struct Seen(Arc<AtomicUsize>);

impl Outlet for Seen {
    fn emit(&mut self, _: usize, batch: Batch) -> Result<(), StageError> {
        self.0.fetch_add(batch.rows(), Ordering::Relaxed);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<(), StageError> {
        Ok(())
    }

    fn log(&mut self, _: &str, _: &str) {}
}
