//! Workers in this process, and a component for them.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock};

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem, Question};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Code;
use flowc_process::Host;
use flowc_runner::Runner;
use flowc_runner::conformance::Subject;
use flowc_wasm::{CompiledFolder, WasmRunner};
use flowc_worker::{Credentials, Worker, WorkerError, WorkerRunner};

/// A worker that listens on this host. Dropping it ends it.
pub(crate) struct Running {
    pub(crate) file: PathBuf,
    pub(crate) credentials: Credentials,
    end: Option<Sender<()>>,
    served: Option<std::thread::JoinHandle<Result<(), WorkerError>>>,
}

impl Running {
    pub(crate) fn start(file: PathBuf) -> Self {
        let worker = Worker::listen("127.0.0.1:0", &file).unwrap();
        let credentials = Credentials::read(&file).unwrap();
        assert_eq!(worker.address(), credentials.address);
        let (end, ended) = channel::<()>();
        let served = std::thread::spawn(move || {
            worker.serve(async {
                // A thread that waits, since what tells the worker to end is no future.
                let _ = tokio::task::spawn_blocking(move || ended.recv()).await;
            })
        });
        Self { file, credentials, end: Some(end), served: Some(served) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.end.take());
        let served = self.served.take().unwrap().join();
        if !std::thread::panicking() {
            served.unwrap().unwrap();
        }
    }
}

/// The guest of the wasm runner's own tests.
pub(crate) struct Guest {
    pub(crate) components: Arc<WasmRunner>,
    pub(crate) digest: StageDigest,
    _folder: tempfile::TempDir,
}

pub(crate) static GUEST: LazyLock<Guest> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasm/tests/guests/hostile");
    let component = flowc_componentize::component(&guest, &target).expect("the guest builds");
    let folder = tempfile::tempdir().expect("a folder");
    let components = Arc::new(WasmRunner::new(Arc::new(CompiledFolder(folder.path().to_owned()))).expect("a runner"));
    let digest = WasmRunner::digest(&component);
    components.add(component, digest);
    Guest { components, digest, _folder: folder }
});

/// In this process.
impl Subject for Guest {
    fn runner(&self) -> &dyn Runner {
        &*self.components
    }

    fn digest(&self) -> StageDigest {
        self.digest
    }

    fn describe(&self, config: &str, input: SchemaRef) -> Result<Description, Problem> {
        let config = config.parse().expect("JSON");
        let (code, digest) = (Code::Wasm("hostile.wasm".to_owned()), self.digest);
        self.components.describe(&Question { code, digest, config, inputs: vec![input] })
    }
}

/// A runner on workers.
pub(crate) fn runner(files: &[&Path]) -> WorkerRunner {
    let host = Arc::new(Host::new(PathBuf::from("no-helper"), std::env::temp_dir()));
    WorkerRunner::new(host, GUEST.components.clone(), files.iter().map(|file| file.to_path_buf()).collect())
}
