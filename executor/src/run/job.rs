//! The jobs of a run, and what those of one kind share: sources as far as they are known, and what is to be done over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use flowc_demand::{Demand, Selection};

use crate::Error;
use crate::intake::scan::{FileIndex, NewSegment};
use crate::run::asserts::Guards;
use crate::run::rank::Rank;
use crate::run::world::World;
use crate::schedule::{self, JobId};

/// Something that a run does.
pub(crate) enum Job<'r> {
    /// Cuts a file into segments.
    Read(FileIndex),
    /// Decodes a segment.
    Decode(NewSegment),
    /// All files of a source have been read.
    End(usize),
    /// Runs the tasks of passes before all sources are known.
    Early(Arc<Early<'r>>, Vec<Vec<usize>>),
    /// All sources are known: finds what is still to be done.
    Demand,
    /// Starts the programs of stages that read sources with new or changed files, while these are read.
    StartReading(BTreeSet<usize>),
    /// Starts the programs of stages whose tasks, which are these jobs, have to wait.
    StartPrograms(Arc<Demanded<'r>>, Vec<JobId>),
    /// Runs the tasks of passes, one pass after the other.
    Passes(Arc<Demanded<'r>>, Vec<Vec<usize>>),
    /// A task is done, or has failed, as the job found that it was part of.
    Task(Arc<Demanded<'r>>, usize),
    /// Looks whether an assert has rows.
    Assert(Arc<Scanned<'r>>, usize),
    /// Writes a sink beside its place.
    Sink(Arc<Scanned<'r>>, usize),
}

impl schedule::Job for Job<'_> {
    type Rank = Rank;

    fn rank(&self) -> Rank {
        match self {
            Job::Early(early, _) if early.holds_rows => Rank::TaskInMemory,
            Job::Decode(_) => Rank::Decode,
            Job::End(_) => Rank::End,
            Job::Read(_) => Rank::Read,
            Job::Early(..) => Rank::EarlyTask,
            Job::Demand => Rank::Demand,
            Job::Passes(..) | Job::Task(..) => Rank::Task,
            Job::Assert(..) => Rank::Assert,
            Job::Sink(..) => Rank::Sink,
            Job::StartReading(_) | Job::StartPrograms(..) => Rank::StartPrograms,
        }
    }

    fn needs(&self) -> schedule::Tokens {
        let processors = usize::from(!matches!(self, Job::StartReading(_) | Job::StartPrograms(..)));
        schedule::Tokens { processors }
    }
}

/// Tasks that are due before all sources are known.
pub(crate) struct Early<'r> {
    pub world: World<'r>,
    pub demand: Demand,
    /// Whether they are over a segment in memory, or in an open file.
    pub holds_rows: bool,
    /// Whether one has failed in a way that the run meets again.
    pub is_given_up: AtomicBool,
}

/// A run whose sources are known.
pub(crate) struct Scanned<'r> {
    /// What was asked for, but for what depends on sources that can't be read.
    pub selection: Arc<Selection>,
    /// Which sinks may appear.
    pub guards: Guards,
    /// All sources.
    pub world: World<'r>,
}

/// A run of which is known what is to be done.
pub(crate) struct Demanded<'r> {
    pub scanned: Arc<Scanned<'r>>,
    pub demand: Demand,
    /// Tasks that have failed without the rest of their job.
    pub failed: Mutex<BTreeMap<usize, Error>>,
}

impl Demanded<'_> {
    /// What is done for a task, in words.
    pub(crate) fn described(&self, task: usize) -> String {
        self.scanned.world.execution().described(&self.demand.tasks[task])
    }
}
