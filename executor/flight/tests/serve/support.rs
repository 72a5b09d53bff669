//! A server in this process, with stages of this file, and a client of it.
#![allow(unreachable_pub, reason = "the other modules use it")]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, BooleanArray, Int64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flowc_flight::serve::{Location, Served, ServedCode, serve};
use flowc_flight::{Connection, Ending, FlightInstance, Meeting, Network, OpenFiles, Program, Stages};
use flowc_planner::catalogue::{Description, InputDescription, OutputDescription, Problem, Signature};
use flowc_planner::key::{Phase, StageDigest};
use flowc_planner::plan::{Class, Limits, OutputColumn, Purity, Rows, Serialization};
use flowc_runner::{
    Batch, ChainRunner, EdgeObserver, InputIdentity, InputPort, Instance, Invocation, Outlet, OutputPort, Runner,
    Secrets, Selection, StageError, StageFault,
};

/// Rows of a batch whose one column has a megabyte.
pub const MEGABYTE: usize = 1 << 17;
/// How many such batches `flood` emits.
pub const FLOOD: u64 = 400;

/// The stages, and what they have done.
#[derive(Default)]
pub struct Fakes {
    /// Batches that `flood` emitted, or that `gate` took.
    pub done: AtomicU64,
    /// Instances that are open.
    pub open: AtomicU64,
    /// `gate` waits for one of these per batch.
    pub permits: Mutex<Option<Receiver<()>>>,
    /// What instances were opened with, in that order.
    pub opened: Mutex<Vec<Invocation>>,
    /// What `hold` had of inputs.
    pub held: Mutex<HashMap<InputIdentity, Vec<Batch>>>,
}

/// The one column of everything.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

pub fn numbers(numbers: std::ops::Range<i64>) -> Batch {
    let rows = numbers.clone().count();
    Batch::new(rows, vec![Some(Arc::new(Int64Array::from_iter_values(numbers)) as ArrayRef)])
}

/// An instance of the stage that `stage` names:
///
/// - `flood` emits new rows for every batch;
/// - `gate` emits nothing, and takes a batch for each permit;
/// - `pick` emits every second row of its main input, and on another output the rows of another input;
/// - `hold` emits the rows of its first input before those of its main one, and holds the first where it had the same before;
/// - `keep` emits all rows of its input at the end, the last batch first;
/// - `large` and `larger` emit one batch of 10 or 100 megabytes for every batch.
struct Fake {
    stage: String,
    fakes: Arc<Fakes>,
    permits: Option<Receiver<()>>,
    kept: Vec<Batch>,
    /// Of the input that `hold` may hold.
    identity: Option<InputIdentity>,
    main: Option<usize>,
    /// Those of the first output.
    columns: Vec<OutputColumn>,
    /// None when it is closed.
    outlet: Option<Box<dyn Outlet>>,
}

impl Fake {
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.outlet.as_mut().unwrap().emit(port, batch)
    }
}

struct FakeRunner(Arc<Fakes>);

impl Runner for FakeRunner {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        let (stage, fakes) = (invocation.stage.to_string(), self.0.clone());
        fakes.open.fetch_add(1, Ordering::SeqCst);
        let permits = fakes.permits.lock().unwrap().take();
        fakes.opened.lock().unwrap().push(invocation.clone());
        let (main, columns) = (invocation.main_input, invocation.outputs[0].columns.clone());
        let (kept, identity) = (Vec::new(), invocation.inputs[0].identity);
        Ok(Box::new(Fake { stage, fakes, permits, kept, identity, main, columns, outlet: Some(outlet) }))
    }
}

impl Instance for Fake {
    fn holds(&self, port: usize) -> bool {
        port == 0 && self.identity.is_some_and(|identity| self.fakes.held.lock().unwrap().contains_key(&identity))
    }

    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        match (self.stage.as_str(), port) {
            ("flood", _) => {
                for _ in 0..FLOOD {
                    self.emit(0, numbers(0..MEGABYTE as i64))?;
                    self.fakes.done.fetch_add(1, Ordering::SeqCst);
                }
            }
            ("gate", _) => {
                self.permits.as_ref().unwrap().recv().unwrap();
                self.fakes.done.fetch_add(1, Ordering::SeqCst);
            }
            // The other input's only column is read.
            ("pick", port) if self.main != Some(port) => {
                self.emit(1, Batch::new(batch.rows(), vec![batch.column(0).cloned()]))?
            }
            ("pick", _) => {
                let mask = BooleanArray::from_iter((0..batch.rows()).map(|row| Some(row % 2 == 1)));
                let picked = batch.select(&Selection::Mask(mask)).unwrap();
                self.outlet.as_mut().unwrap().log("info", "picks");
                self.emit(0, passed(&picked, &self.columns))?;
            }
            ("hold", 0) => self.kept.push(batch),
            ("hold", _) => self.emit(0, batch)?,
            ("keep", _) => self.kept.push(batch),
            ("large", _) => self.emit(0, numbers(0..10 * MEGABYTE as i64))?,
            ("larger", _) => self.emit(0, numbers(0..100 * MEGABYTE as i64))?,
            other => panic!("no such stage: {other:?}"),
        }
        Ok(())
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        self.outlet.as_mut().unwrap().boundary()
    }

    fn end_of_input(&mut self, port: usize) -> Result<(), StageError> {
        if (self.stage.as_str(), port) == ("hold", 0) {
            let given = std::mem::take(&mut self.kept);
            let rows = match self.identity {
                Some(identity) => self.fakes.held.lock().unwrap().entry(identity).or_insert(given).clone(),
                None => given,
            };
            rows.into_iter().try_for_each(|batch| self.emit(0, batch))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), StageError> {
        while let Some(batch) = self.kept.pop() {
            self.emit(0, passed(&batch, &self.columns))?;
        }
        self.outlet.take().map_or(Ok(()), |outlet| outlet.close())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.fakes.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What an output has that writes nothing: columns of the input, and the numbers of rows are one of them.
fn passed(batch: &Batch, columns: &[OutputColumn]) -> Batch {
    let column = |column: &OutputColumn| match *column {
        OutputColumn::Passed { column } => batch.column(column).cloned(),
        OutputColumn::Written => panic!("it writes nothing"),
    };
    Batch::new(batch.rows(), columns.iter().map(column).collect::<Vec<_>>())
}

struct FakeStages {
    runner: FakeRunner,
}

impl Served for FakeStages {
    fn signature(&self, stage: &str) -> Result<Signature, Problem> {
        match stage {
            "none" => Err(Problem::new("no such stage").with_help("name another")),
            _ => Ok(Signature {
                unenforced: None,
                chains: false,
                serializations: Serialization::ALL.to_vec(),
                digest: StageDigest::new([0; 32]),
                doc: format!("Does as `{stage}` does."),
                inputs: vec!["in".to_owned()],
                outputs: vec!["out".to_owned()],
                config_schema: serde_json::json!({"type": "object"}),
                purity: Purity::Proven,
                runner: [].into(),
            }),
        }
    }

    fn describe(&self, _: &str, config: serde_json::Value, inputs: Vec<SchemaRef>) -> Result<Description, Problem> {
        if let Some(path) = config["blame"].as_str() {
            return Err(Problem { config_path: Some(path.to_owned()), ..Problem::new("not to my taste") });
        }
        let (rows, columns) =
            (Rows::Subset { input: 0 }, vec![OutputColumn::Passed { column: 0 }, OutputColumn::Written]);
        Ok(Description {
            inputs: vec![InputDescription { class: Class::Combining, reads: vec![0], keys: vec![] }],
            outputs: vec![OutputDescription { schema: inputs[0].clone(), rows, columns }],
            partial: Some(schema()),
            parts: 1,
            runner: BTreeMap::new(),
            explanation: Default::default(),
        })
    }

    fn code(&self, stage: &str, asked: &Limits) -> Result<ServedCode<'_>, Problem> {
        self.signature(stage)?;
        Ok(ServedCode { runner: &self.runner, digest: StageDigest::new([0; 32]), limits: asked.clone() })
    }
}

/// A server, and a connection to it.
pub struct Server {
    pub fakes: Arc<Fakes>,
    pub connection: Connection,
    pub socket: PathBuf,
    end: Option<Sender<()>>,
    served: Option<std::thread::JoinHandle<std::io::Result<()>>>,
    _network: Network,
    _folder: tempfile::TempDir,
}

impl Server {
    /// One whose batches go through its socket.
    pub fn start() -> Self {
        Self::start_with(|_| None, None)
    }

    /// One that shares memory with its client.
    pub fn sharing() -> Self {
        Self::start_with(|folder| Some(folder.join("m")), None)
    }

    /// One that is handed stored files besides.
    pub fn mapping(files: Arc<dyn OpenFiles>) -> Self {
        Self::start_with(|folder| Some(folder.join("m")), Some(files))
    }

    fn start_with(memory: impl FnOnce(&Path) -> Option<PathBuf>, files: Option<Arc<dyn OpenFiles>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let memory = memory(folder.path());
        let meeting = memory.as_ref().map(|socket| Meeting::at(socket, files.clone()).unwrap());
        let (socket, fakes) = (folder.path().join("s"), Arc::new(Fakes::default()));
        let (end, ended) = channel::<()>();
        let stages = Arc::new(FakeStages { runner: FakeRunner(fakes.clone()) });
        let location = Location { listen: format!("grpc+unix://{}", socket.display()), memory };
        // It is given its memory when it listens, which it does after it has asked.
        let served = std::thread::spawn(move || {
            serve(stages, &location, async {
                // A thread that waits, since what tells the server to end is no future.
                let _ = tokio::task::spawn_blocking(move || ended.recv()).await;
            })
        });
        let network = Network::new().unwrap();
        let connection = network.connect(&socket, meeting.as_ref(), Duration::from_secs(60), || true).unwrap();
        Self { fakes, connection, socket, end: Some(end), served: Some(served), _network: network, _folder: folder }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        let served = self.served.take().unwrap().join();
        if !std::thread::panicking() {
            served.unwrap().unwrap();
        }
    }
}

/// The server as a program, which never ends.
struct Endless;

impl Program for Endless {
    fn printed(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn ended(&mut self) -> Option<Ending> {
        None
    }

    fn give_back(self: Box<Self>, _: bool) {}
}

impl Runner for Server {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        self.open_chain(std::slice::from_ref(invocation), Vec::new(), outlet)
    }
}

impl ChainRunner for Server {
    fn open_chain(
        &self,
        invocations: &[Invocation],
        between: Vec<Box<dyn EdgeObserver>>,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageError> {
        let entries = invocations.iter().map(|invocation| invocation.stage.to_string()).collect();
        let stages = Stages { entries, invocations, between };
        Ok(Box::new(FlightInstance::open(&self.connection, Box::new(Endless), stages, outlet)?))
    }
}

/// Inputs of one column each, the last one the main one, and outputs of it.
pub fn invocation(stage: &str, inputs: usize, outputs: &[(Rows, OutputColumn)]) -> Invocation {
    let output = |(rows, column): &(Rows, OutputColumn)| OutputPort {
        schema: schema(),
        rows: *rows,
        columns: vec![*column],
        needed: vec![true],
    };
    Invocation {
        stage: stage.into(),
        digest: StageDigest::new([0; 32]),
        config: "{}".into(),
        phase: Phase::Run,
        part: 0,
        inputs: vec![InputPort { schema: schema(), reads: vec![0], identity: None }; inputs].into(),
        main_input: inputs.checked_sub(1),
        outputs: outputs.iter().map(output).collect(),
        limits: Limits { memory: Some(64 << 20), ..Limits::default() },
        secrets: Secrets::default(),
    }
}

/// Waits for something that must come.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        std::thread::yield_now();
    }
}

/// A failure of the client's side that is not the stage's.
pub fn below() -> StageError {
    StageError::new("below", StageFault::Cancelled)
}
