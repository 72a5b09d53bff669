//! A kind of stage, as the engine knows it.

use std::path::Path;

use flowc_code::{Evidence, Parts, Reader, Tools};
use flowc_planner::catalogue::{Description, Problem, Question, Signature};
use flowc_planner::key::StageDigest;
use flowc_planner::plan::{Code, Isolate};

use crate::Runner;

/// A kind of stage: finds the code of its stages, says what they are, and has what runs them. The engine asks kinds by this
/// trait alone, and knows them by what [`Code::runner`] says of a code.
pub trait StageKind: Send + Sync {
    /// What [`Code::runner`] says of its code.
    fn name(&self) -> &'static str;

    /// Finds the code of a stage, building it where it has to be built, and registers it: from then on its digest stands for
    /// the stage.
    ///
    /// # Errors
    /// If there is no such code, or it can't be built.
    fn locate(&self, code: &Code, context: &dyn CodeContext) -> Result<Located, Problem>;

    /// What a located stage is, before any config.
    ///
    /// # Errors
    /// If it is no stage, or describes itself wrongly.
    fn signature(&self, digest: &StageDigest) -> Result<Signature, Problem>;

    /// What a located stage makes of a config and of its inputs' schemas.
    ///
    /// # Errors
    /// What the stage itself finds wrong, or what is wrong with the stage.
    fn describe(&self, question: &Question) -> Result<Description, Problem>;

    /// What runs located stages that the pipeline wants isolated so.
    fn runner(&self, isolate: Isolate) -> &dyn Runner;

    /// The device that its stages run on here. It is in the keys of those whose numbers depend on it.
    fn device(&self) -> Option<DeviceIdentity> {
        None
    }

    /// Ends all programs and connections that are not at work.
    fn end_idle(&self) {}

    /// A text of a stage, as its author is to see it.
    fn shown(&self, text: String) -> String {
        text
    }

    /// Whether its stages run in sandboxes of this machine unless the pipeline says otherwise. Their results then depend on
    /// what this machine can enforce.
    fn is_sandboxed(&self) -> bool {
        false
    }

    /// Whether its stages run on other hosts.
    fn is_remote(&self) -> bool {
        false
    }

    /// Checks what it was configured with, before a run begins.
    ///
    /// # Errors
    /// In words, if that can't be used.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A device that stages run on.
#[derive(Clone, Debug)]
pub struct DeviceIdentity {
    /// All that may decide the last bits of what it computes.
    pub name: String,
    /// By what a later run sees that it is the same.
    pub evidence: Evidence,
}

/// A stage that its kind knows by now.
#[derive(Debug)]
pub struct Located {
    /// Identity of the code.
    pub digest: StageDigest,
    /// By what a later run sees that the code is the same.
    pub evidence: Evidence,
    /// What the code consists of, where that is known.
    pub parts: Option<Parts>,
    /// The names of what was built for it, and is kept as long as a run needs it.
    pub builds: Vec<String>,
    /// What the lock is to pin beside the digest: a reference, and what it means now.
    pub pin: Option<(String, String)>,
}

impl Located {
    /// A stage of which nothing else is known, and for which nothing was built.
    pub fn new(digest: StageDigest, evidence: Evidence) -> Self {
        Self { digest, evidence, parts: None, builds: Vec::new(), pin: None }
    }
}

/// What becomes of the files of a folder that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Their contents are kept, so that what runs is what was hashed.
    Contents,
    /// Nothing is kept: the code is built where it lies.
    Nothing,
}

/// Takes the lines of a build's log.
pub type BuildLog<'a> = &'a mut dyn FnMut(&str);

/// What the engine lends a kind that looks for code. Kinds call [`read`](#method.read) and [`build`](#method.build), which give
/// back what their closures do.
pub trait CodeContext {
    /// The folder that relative paths start from.
    fn base(&self) -> &Path;

    /// Runs programs that find out about code or build it, as long as they are wanted.
    fn tools(&self) -> Tools<'_>;

    /// What the lock pins for a reference.
    fn pinned(&self, reference: &str) -> Option<&str>;

    /// Calls `read` once, with what reads the code of a folder and knows what was read before.
    fn with_reader(&self, folder: &Path, keep: Keep, read: &mut dyn FnMut(&Reader<'_>));

    /// Calls `build` once, if builds are allowed and this code was not tried already, and tells of it. It is given where to log.
    ///
    /// # Errors
    /// Those of the build, or why it was not called.
    fn with_build(
        &self,
        code: &Code,
        build: &mut dyn FnMut(BuildLog<'_>) -> Result<(), Problem>,
    ) -> Result<(), Problem>;
}

impl dyn CodeContext + '_ {
    /// Has the code of a folder read.
    pub fn read<T>(&self, folder: &Path, keep: Keep, read: impl FnOnce(&Reader<'_>) -> T) -> T {
        let (mut read, mut result) = (Some(read), None);
        self.with_reader(folder, keep, &mut |reader| result = read.take().map(|read| read(reader)));
        result.expect("the reader is lent once")
    }

    /// Builds code, if that is allowed.
    ///
    /// # Errors
    /// Those of the build, or why there was none.
    pub fn build<T>(&self, code: &Code, build: impl FnOnce(BuildLog<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
        let (mut build, mut result) = (Some(build), None);
        self.with_build(code, &mut |log| {
            result = build.take().map(|build| build(log)).transpose()?;
            Ok(())
        })?;
        Ok(result.expect("what is built is given"))
    }
}

/// The problem of a kind that is asked for the code of another.
pub fn foreign_code(code: &Code) -> Problem {
    Problem::new(format!("`{}` stages can't be run by this flowc", code.runner()))
}

/// The problem of a flowc that was built without a Cargo feature.
pub fn not_built(feature: &str) -> Problem {
    Problem::of_machine(format!("this flowc was built without the feature `{feature}`"))
        .with_help("use a flowc that has it: `flowc doctor` lists the features of this one")
}
