//! What executes stages: the [`Runner`] trait, and the batches that pass between instances; and what the engine knows of a
//! kind of stage, [`StageKind`].
//!
//! An invocation is: open an instance; for each input in turn, those that are `whole` first, push all its batches and
//! end it; finish. What the stage emits goes to the instance's [`Outlet`], at once, in the same thread. A chain of
//! collapsed stages is a chain of outlets, so a batch is handed on and never queued. Between two batches of the main input there
//! may be a boundary: what was pushed before it is out before what follows it is pushed.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod chain;
#[cfg(feature = "conformance")]
pub mod conformance;
mod described;
mod device;
mod error;
mod kind;
mod lineage;
mod per_batch;
mod pieces;
pub mod schema;
mod secrets;
mod text;

pub use batch::{Batch, Selection, StoredFile};
pub use chain::{Edge, EdgeObserver, open_stages};
pub use described::{check_ports, misdescribed};
pub use device::DeviceUse;
pub use error::{InputRows, StageError, StageFault};
pub use kind::{BuildLog, CodeContext, DeviceIdentity, Keep, Located, StageKind, foreign_code, not_built};
pub use lineage::{Lineage, Origin, overall};
pub use per_batch::PerBatch;
pub use pieces::{PIECE_BYTES, row_bytes};
pub use secrets::{Secrets, mask};
pub use text::{LONGEST_LINE, shortened, shortened_lines};

use std::sync::Arc;

use arrow_schema::SchemaRef;
use flowc_planner::key::{KeyHasher, Phase, SegmentKeys, StageDigest};
use flowc_planner::plan::{Limits, OutputColumn, Rows};
use serde::{Deserialize, Serialize};

/// Executes the stages of one kind: wasm components, Python processes, containers, ...
///
/// One suite runs against every implementation: the module `conformance`, behind the feature of that name.
pub trait Runner: Send + Sync {
    /// Opens a fresh instance. It holds no history of earlier invocations.
    ///
    /// # Errors
    /// If the stage's code can't be found or started, or the stage refuses its config.
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError>;

    /// Starts what an invocation of this stage will need, so that it need not wait for that, and gives up as soon as it is not
    /// wanted any more. Where it fails, opening says why.
    fn prepare(&self, _stage: &StageDigest, _limits: &Limits, _is_wanted: &dyn Fn() -> bool) {}

    /// The same runner, if it executes adjacent stages in one instance, where that is cheaper than handing batches from one
    /// instance to the next.
    fn as_chain_runner(&self) -> Option<&dyn ChainRunner> {
        None
    }
}

/// The most stages that an instance may hold: each may run on top of the one before, in one thread.
pub const LONGEST_CHAIN: usize = 64;

/// A runner that can execute adjacent stages in one instance, so that batches pass between them without leaving it.
pub trait ChainRunner: Runner {
    /// Opens such an instance, of [`LONGEST_CHAIN`] stages at most. Each but the first has one input, which is the one output
    /// of the stage before it, and rows of no other input than the one that drives it; `between` has an entry for each stage
    /// but the last. Batches of the last one go to the outlet.
    ///
    /// # Errors
    /// If the code of a stage can't be found or started, or a stage refuses its config.
    fn open_chain(
        &self,
        stages: &[Invocation],
        between: Vec<Box<dyn EdgeObserver>>,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageError>;
}

/// A running instance of a stage. Dropping it before [`Instance::finish`] abandons the invocation.
pub trait Instance: Send {
    /// Whether all rows of an input are here from an earlier invocation, which gave it the same [`InputIdentity`]. Then none of them
    /// are pushed, and [`Instance::end_of_input`] follows. It stays so until the instance is dropped.
    fn holds(&self, _port: usize) -> bool {
        false
    }

    /// Hands over one batch of an input. Columns that the stage reads are present; others where an output needs them.
    ///
    /// # Errors
    /// If the stage fails, breaks what it described, or exceeds a limit; or if the outlet refuses what it emits.
    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError>;

    /// Waits until all that was pushed has gone through: what the stage gives for it has been emitted, but for what the stage
    /// itself keeps for later, and what it fails with has been returned. Then the outlet is told, and the instance goes on.
    /// This changes nothing of what the stage computes. Its timeout and the limit on lines of its log count anew from here.
    /// To be called before the end of the main input.
    ///
    /// # Errors
    /// As [`Instance::push`].
    fn boundary(&mut self) -> Result<(), StageError>;

    /// Says that an input has no more rows in this invocation.
    ///
    /// # Errors
    /// As [`Instance::push`].
    fn end_of_input(&mut self, port: usize) -> Result<(), StageError>;

    /// Ends the invocation: the stage emits what it still holds, then the outlet is closed.
    ///
    /// # Errors
    /// As [`Instance::push`], or if the outlet can't be closed.
    fn finish(self: Box<Self>) -> Result<(), StageError>;
}

/// Where an instance's batches go.
pub trait Outlet: Send {
    /// Takes a batch of an output port, with the columns that are needed below.
    ///
    /// # Errors
    /// If what takes the batch fails: a stage below, or the store.
    fn emit(&mut self, port: usize, batch: Batch) -> Result<(), StageError>;

    /// All batches that belong before a boundary have come. An outlet that keeps nothing back has nothing to do.
    ///
    /// # Errors
    /// As [`Outlet::emit`].
    fn boundary(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    /// The instance has finished; there is nothing more to come on any port.
    ///
    /// # Errors
    /// If what took the batches can't be completed.
    fn close(self: Box<Self>) -> Result<(), StageError>;

    /// Takes a line of the stage's log. Level is a `tracing` level name in lower case.
    fn log(&mut self, level: &str, message: &str);

    /// Takes what the stage had a device do since it last said so. Outlets before others pass it on.
    fn used(&mut self, _device: DeviceUse) {}
}

/// Everything that a runner needs to open an instance.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The stage's name, for messages.
    pub stage: Arc<str>,
    /// Identity of the code, known to the runner.
    pub digest: StageDigest,
    /// Typed config, as canonical JSON.
    pub config: Arc<str>,
    /// Which part of the stage's life this is.
    pub phase: Phase,
    /// The number of this invocation, for a stage without inputs.
    pub part: u64,
    /// One per input port. In the phases `merge` and `finish` there is one port, of partials.
    pub inputs: Arc<[InputPort]>,
    /// The input that is fed last, all others before it: the driving one, or the last where none drives. None where there
    /// are no inputs.
    pub main_input: Option<usize>,
    /// One per output port. In the phases `partial` and `merge` there is one port, of partials.
    pub outputs: Arc<[OutputPort]>,
    /// What the text says of running it.
    pub limits: Limits,
    /// The secrets that it is given.
    pub secrets: Secrets,
}

/// An input as an instance sees it.
#[derive(Clone, Debug)]
pub struct InputPort {
    /// All columns of the stream.
    pub schema: SchemaRef,
    /// Those that the stage may read, ascending. It knows them by their place in this list, and knows of no others.
    pub reads: Vec<usize>,
    /// What its rows are, if that is known and the instance may do without being given them again. A runner need not heed it.
    pub identity: Option<InputIdentity>,
}

/// Identity of all that an instance is given of an input: rows with equal identities are equal, in what is read of them and in their
/// order. Types and names of columns are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputIdentity(#[serde(with = "flowc_planner::digest_form")] [u8; 32]);

impl InputIdentity {
    /// The identity of rows whose keys are these: of a dataset, or of one segment.
    pub fn of(keys: &SegmentKeys, reads: &[usize]) -> Self {
        let mut hasher = KeyHasher::new("flowc input 1");
        hasher.digest(keys.rows.as_bytes());
        reads.iter().for_each(|&column| {
            hasher.digest(keys.columns[column].as_bytes());
        });
        Self(hasher.finish())
    }

    /// The identity that this digest stands for.
    pub fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// As a digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// An output as an instance fills it.
#[derive(Clone, Debug)]
pub struct OutputPort {
    /// All columns of the stream.
    pub schema: SchemaRef,
    /// What becomes of the rows; the runner enforces it.
    pub rows: Rows,
    /// Where each column comes from.
    pub columns: Vec<OutputColumn>,
    /// Per column: whether anything below needs it. The runner leaves out what is not needed; a written column that
    /// is not needed is checked all the same.
    pub needed: Vec<bool>,
}
