//! The runner of stages whose programs are started when they are needed, wait for more work, and are used again; and what the
//! engine knows of a kind of such stages.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::time::Duration;

use flowc_flight::{Connection, PATIENCE, Stages, Unanswered};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Isolate, Limits};
use flowc_runner::{
    ChainRunner, CodeContext, EdgeObserver, Instance, Invocation, Located, Outlet, Runner, StageError, StageKind,
};

use crate::registry::Registry;
use crate::{LaunchError, Lent, Pool, Server};

/// How a stage's program is started, as its runner has registered it.
pub trait Launch: Send + Sync {
    /// Identity of the stage.
    fn digest(&self) -> StageDigest;

    /// The stage's name among those that the program serves; empty where there is but one.
    fn entry(&self) -> String;

    /// What identifies what runs the stage, for people; all that matters of it is in the digest.
    fn runner(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

/// Starts the programs of one kind of stage.
pub trait Launcher: Send + Sync {
    /// How one stage's program is started.
    type Launch: Launch;
    /// What makes programs alike: each can do the work of any other of its key.
    type Key: Clone + Eq + Hash + Send + 'static;

    /// The key of the program that a stage with these limits needs.
    fn key(&self, launch: &Self::Launch, limits: &Limits) -> Self::Key;

    /// Starts a program and waits until it serves, while it is wanted.
    ///
    /// # Errors
    /// If it does not come up, or is not wanted any more.
    fn start(
        &self,
        launch: &Self::Launch,
        limits: &Limits,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Server>, LaunchError>;

    /// Whether a program runs adjacent stages in one invocation.
    fn chains(&self) -> bool {
        true
    }

    /// Waits until programs that were ended are gone.
    fn settle(&self) {}
}

/// A kind of stage whose programs a launcher starts. What the other methods of [`StageKind`] do is the same for all such kinds.
pub trait PooledKind: Launcher {
    /// As [`StageKind::name`].
    fn name(&self) -> &'static str;

    /// Finds the code of a stage, as [`StageKind::locate`], and says how its program is started.
    ///
    /// # Errors
    /// If there is no such code, or it can't be built.
    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<(Self::Launch, Located), Problem>;

    /// As [`StageKind::shown`].
    fn shown(&self, text: String) -> String {
        text
    }

    /// As [`StageKind::is_sandboxed`].
    fn is_sandboxed(&self) -> bool {
        false
    }
}

/// Runs the stages of a launcher's programs. Cheap to make: nothing is started until a stage is used.
pub struct PooledRunner<L: Launcher> {
    /// Dropped first: ending a program may need what the launcher holds.
    pool: Pool<L::Key, Box<dyn Server>>,
    launches: Registry<L::Launch>,
    launcher: L,
    /// Bytes of memory for a program that is asked at plan time.
    memory: u64,
}

impl<L: Launcher> PooledRunner<L> {
    /// A runner that knows no stage yet. `memory` is what a stage may have where the pipeline does not say.
    pub fn new(launcher: L, memory: u64) -> Self {
        Self { pool: Pool::default(), launches: Registry::default(), launcher, memory }
    }

    /// Registers a stage.
    pub fn add(&self, launch: L::Launch) -> StageDigest {
        let digest = launch.digest();
        self.launches.add(digest, launch);
        digest
    }

    /// Forgets a stage. Its invocations that are open go on.
    pub fn remove(&self, digest: &StageDigest) {
        self.launches.remove(digest);
    }

    /// What a registered stage is, before any config.
    ///
    /// # Errors
    /// If it can't be started, or describes itself wrongly.
    pub fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        Ok(self.signature_within(digest, PATIENCE)?)
    }

    /// As [`PooledRunner::signature`], for as long as whoever asks can wait. A program that takes longer is ended.
    ///
    /// # Errors
    /// As there, and that there was no answer.
    pub fn signature_within(&self, digest: &StageDigest, patience: Duration) -> Result<Signature, Unanswered> {
        self.ask(digest, |connection, launch| connection.signature(&launch.entry(), *digest, launch.runner(), patience))
    }

    /// What a registered stage makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with the stage.
    pub fn describe(&self, question: &Question) -> Result<Description, Problem> {
        Ok(self.describe_within(question, PATIENCE)?)
    }

    /// As [`PooledRunner::describe`], for as long as whoever asks can wait. A program that takes longer is ended.
    ///
    /// # Errors
    /// As there, and that there was no answer.
    pub fn describe_within(&self, question: &Question, patience: Duration) -> Result<Description, Unanswered> {
        self.ask(&question.digest, |connection, launch| connection.describe(&launch.entry(), question, patience))
    }

    /// Starts the program that questions about stages of this launch are put to, if none waits.
    pub fn prepare_to_ask(&self, launch: &L::Launch) {
        let limits = self.asked();
        self.pool.prepare(self.launcher.key(launch, &limits), |_| self.launcher.start(launch, &limits, &|| true));
    }

    /// The limits of a program that is asked.
    fn asked(&self) -> Limits {
        Limits { memory: Some(self.memory), ..Limits::default() }
    }

    /// Ends all programs that are not at work, and waits until they are gone.
    pub fn end_idle(&self) {
        self.pool.end_idle();
        self.launcher.settle();
    }

    /// Asks a program that waits, or a new one.
    fn ask<T>(
        &self,
        digest: &StageDigest,
        question: impl FnOnce(&Connection, &L::Launch) -> Result<T, Unanswered>,
    ) -> Result<T, Unanswered> {
        let launch = self.launches.get(digest).map_err(Problem::new)?;
        let program = self.lend(&launch, &self.asked()).map_err(Problem::from)?;
        program.ask(|connection| question(connection, &launch))
    }

    fn lend(&self, launch: &L::Launch, limits: &Limits) -> Result<Lent<L::Key, Box<dyn Server>>, LaunchError> {
        self.pool.lend(self.launcher.key(launch, limits), |_| self.launcher.start(launch, limits, &|| true))
    }
}

impl<L: Launcher> Runner for PooledRunner<L> {
    fn open(&self, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Box<dyn Instance>, StageError> {
        self.open_chain(std::slice::from_ref(invocation), Vec::new(), outlet)
    }

    fn prepare(&self, stage: &StageDigest, limits: &Limits, is_wanted: &dyn Fn() -> bool) {
        let Ok(launch) = self.launches.get(stage) else { return };
        let key = self.launcher.key(&launch, limits);
        self.pool.prepare(key, |_| self.launcher.start(&launch, limits, is_wanted));
    }

    fn as_chain_runner(&self) -> Option<&dyn ChainRunner> {
        self.launcher.chains().then_some(self)
    }
}

impl<L: Launcher> ChainRunner for PooledRunner<L> {
    fn open_chain(
        &self,
        stages: &[Invocation],
        between: Vec<Box<dyn EdgeObserver>>,
        outlet: Box<dyn Outlet>,
    ) -> Result<Box<dyn Instance>, StageError> {
        let first = &stages[0];
        let launches = self.launches.of(stages)?;
        let program = self.lend(&launches[0], &first.limits).map_err(|error| error.of_stage(&first.stage))?;
        let entries = launches.iter().map(|launch| launch.entry()).collect();
        program.open(Stages { entries, invocations: stages, between }, outlet)
    }
}

impl<L: PooledKind> StageKind for PooledRunner<L> {
    fn name(&self) -> &'static str {
        self.launcher.name()
    }

    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<Located, Problem> {
        let (launch, located) = self.launcher.locate(code, context)?;
        self.launches.add(located.digest, launch);
        Ok(located)
    }

    fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem> {
        self.signature(digest)
    }

    fn describe(&self, question: &Question) -> Result<Description, Problem> {
        self.describe(question)
    }

    fn runner(&self, _: Isolate) -> &dyn Runner {
        self
    }

    fn end_idle(&self) {
        self.end_idle();
    }

    fn shown(&self, text: String) -> String {
        self.launcher.shown(text)
    }

    fn is_sandboxed(&self) -> bool {
        self.launcher.is_sandboxed()
    }
}
