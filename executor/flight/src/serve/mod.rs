//! The server of the stage protocol: stages that some runner of this program executes, for whoever connects.
//!
//! - `listen`: where, and until when;
//! - `service`: the calls, and `invocations`: which of them belong together;
//! - `opening`: what an invocation is to be, and `steps`: its stages;
//! - `work`: an invocation, in a thread of its own. It feeds an instance from the streams of its inputs (`feed`) and answers on
//!   those of its outputs (`replies`), whose batches come from the instance's outlet (`sending`). Where there are several
//!   instances, each pushes into the next, and `chain` knows how far they have come;
//! - `numbers`: the numbers of an input's rows, which go through the instances like a column that is passed on.
//!
//! Both directions are bounded, since every wait is one of that thread: it reads a batch when the instance has taken the last
//! one, and it writes when HTTP/2 has room.

mod chain;
mod feed;
mod invocations;
mod listen;
mod numbers;
mod opening;
mod replies;
mod sending;
mod service;
mod steps;
mod work;

use arrow_schema::SchemaRef;
use flowc_planner::catalogue::{Description, Problem, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::Limits;
use flowc_runner::Runner;

pub use listen::{LISTEN, Location, input_ended, serve, serve_secured};

/// The invocations of stages that an opening asks for, if it can be followed, each with the columns per output that go on to
/// the next or to the client. For fuzzing.
#[cfg(feature = "testing")]
pub(crate) fn invocations(opening: &[u8]) -> Option<Vec<(flowc_runner::Invocation, Vec<Vec<usize>>)>> {
    let opened = opening::Opened::read(opening).ok()?;
    let invocation =
        |step: &steps::ChainStep| (step.invocation(StageDigest::new([0; 32]), Limits::default()), step.gives.clone());
    Some(opened.steps.iter().map(invocation).collect())
}

/// The stages that a program serves.
pub trait Served: Send + Sync + 'static {
    /// What a stage is, before any config.
    ///
    /// # Errors
    /// What is wrong with it, or that there is none of this name.
    fn signature(&self, stage: &str) -> Result<Signature, Problem>;

    /// What a stage makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with it.
    fn describe(&self, stage: &str, config: serde_json::Value, inputs: Vec<SchemaRef>) -> Result<Description, Problem>;

    /// What executes a stage, for an invocation whose client asks for these limits.
    ///
    /// # Errors
    /// That there is none of this name.
    fn code(&self, stage: &str, asked: &Limits) -> Result<ServedCode<'_>, Problem>;

    /// Whether the component of this digest is held, ready for invocations with such limits; takes it if it comes along.
    ///
    /// # Errors
    /// That it is not the one that is named, or no stage, or that no components are taken.
    fn hold(&self, _digest: &str, _component: Option<Vec<u8>>, _limits: &Limits) -> Result<bool, Problem> {
        Err(Problem::new("this program takes no components"))
    }
}

/// What executes a stage that is served.
pub struct ServedCode<'a> {
    /// The runner.
    pub runner: &'a dyn Runner,
    /// The stage, which the runner knows.
    pub digest: StageDigest,
    /// What an instance may take.
    pub limits: Limits,
}
