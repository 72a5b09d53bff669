//! What happens during a run, as one closed list. Progress, logs, `--json` and the tests all read it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use flowc_planner::LockChange;
use flowc_planner::key::{ContentDigest, KeyHasher, PlanHash};
use flowc_planner::plan::OnFailure;
use serde::Serialize;

use crate::error::{Error, ErrorReport};
use crate::status::Reason;

/// Takes events as they happen, from any thread.
pub trait Observer: Send + Sync {
    /// One event.
    fn observe(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Observer for F {
    fn observe(&self, event: Event) {
        self(event);
    }
}

/// An event with its place in a run. In JSON, the fields of both are members of one object.
#[derive(Clone, Debug, Serialize)]
pub struct StampedEvent {
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
    /// Identifies the run among all.
    pub run: String,
    /// Its number in the run, from 1.
    pub sequence: u64,
    /// Seconds since 1970.
    pub time: f64,
}

/// Numbers the events of one run. Whoever tells the events of a run stamps each as it is told, so that numbers ascend.
pub struct Stamper {
    run: String,
    told: AtomicU64,
}

impl Stamper {
    /// Of a run that begins.
    pub fn new() -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let number = RUNS.fetch_add(1, Ordering::Relaxed);
        let mut hasher = KeyHasher::new("flowc run 1");
        hasher.number(since_1970().to_bits()).number(u64::from(std::process::id())).number(number);
        let run = hasher.finish()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { run, told: AtomicU64::new(0) }
    }

    /// The event as the next one of the run.
    pub fn stamp(&self, event: Event) -> StampedEvent {
        let sequence = self.told.fetch_add(1, Ordering::Relaxed) + 1;
        StampedEvent { event, run: self.run.clone(), sequence, time: since_1970() }
    }
}

impl Default for Stamper {
    fn default() -> Self {
        Self::new()
    }
}

fn since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Something that happened. In JSON, `event` names the kind.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The lock was written.
    Pinned {
        /// Its file name.
        lock: String,
        /// What is new in it.
        pins: Vec<LockChange>,
    },
    /// The plan stands and work begins.
    RunStarted {
        /// The plan's hash.
        plan: PlanHash,
        /// The pipeline's name.
        pipeline: String,
    },
    /// A Rust stage is being built to a component.
    BuildStarted {
        /// As in the text.
        code: String,
    },
    /// It has been built.
    BuildFinished {
        /// As in the text.
        code: String,
        /// Wall time.
        seconds: f64,
    },
    /// A line of a build's output.
    BuildLog {
        /// As in the text.
        code: String,
        /// The line.
        message: String,
    },
    /// A component is being compiled, since it is used for the first time here: that takes seconds.
    CompileStarted {
        /// As in the text.
        code: String,
    },
    /// A source file is read, since it is new or was changed.
    FileRead {
        /// The source.
        source: String,
        /// Its name as matched.
        file: String,
        /// Its size; of standard input, unpacked.
        bytes: u64,
    },
    /// Rows of a source that did not fit were left out or put aside.
    BadRows {
        /// The source.
        source: String,
        /// The file.
        file: String,
        /// How many.
        rows: u64,
    },
    /// Rows came too late for the windows of a stage, or have no time, and nothing reads them: they are in no result.
    LateRows {
        /// The stage's name.
        stage: String,
        /// Its input.
        input: String,
        /// How many.
        rows: u64,
        /// The stream that has them, where something reads it.
        stream: String,
    },
    /// Rows of a source were read without some of their members: no column takes these.
    IgnoredMembers {
        /// The source.
        source: String,
        /// The file.
        file: String,
        /// Which members, by their paths.
        members: Vec<IgnoredMember>,
        /// What to do.
        help: String,
    },
    /// All sources are known, and with them how much this run does in all.
    WorkPlanned {
        /// Invocations: those that have run already, and those that will, unless their inputs turn out to be unchanged.
        tasks: usize,
        /// The stages that have a part in them, in the plan's order.
        stages: Vec<StageTasks>,
    },
    /// Stages begin to run over one segment. [`Event::SegmentRan`] or [`Event::TaskFailed`] tells of the end.
    TaskStarted {
        /// The stages, in order.
        stages: Vec<String>,
        /// Position of the segment in the dataset.
        segment: usize,
    },
    /// Stages ran over one segment.
    SegmentRan {
        /// The stages, in order.
        stages: Vec<String>,
        /// Position of the segment in the dataset.
        segment: usize,
        /// Rows of the last stage's outputs.
        rows: u64,
        /// Wall time.
        seconds: f64,
    },
    /// What a stage had a device do over one segment; told before [`Event::SegmentRan`].
    DeviceUsed {
        /// The stage's name.
        stage: String,
        /// Position of the segment in the dataset.
        segment: usize,
        /// The device, with its driver.
        device: String,
        /// How long the device worked.
        nanoseconds: u64,
        /// Who measured that.
        timed_by: TimedBy,
        /// Bytes that went to the device.
        bytes_up: u64,
        /// Bytes that came back.
        bytes_down: u64,
    },
    /// Stages that began to run over one segment did not come to its end: one of them failed, or the run was stopped.
    TaskFailed {
        /// The stages, in order.
        stages: Vec<String>,
        /// Position of the segment in the dataset.
        segment: usize,
    },
    /// A segment was to run, but its inputs have the content of an earlier run's: early cutoff.
    SegmentUnchanged {
        /// The last stage.
        stage: String,
        /// Position of the segment in the dataset.
        segment: usize,
    },
    /// A line of a stage's log.
    StageLog {
        /// The stage's name.
        stage: String,
        /// `error`, `warn`, `info`, `debug` or `trace`.
        level: String,
        /// The line.
        message: String,
    },
    /// A stage that was to be verified gave what it gave before.
    StageVerified {
        /// The stage's name.
        stage: String,
        /// Over how many segments, merges and the like; 0 if the store had nothing to compare with.
        segments: u64,
    },
    /// A stage that was to be verified was compared with what else there is of the same rows.
    StageCompared {
        /// The stage's name.
        stage: String,
        /// What it was compared with.
        other: Other,
        /// The column that was compared; none for the rows that the stage keeps.
        column: Option<String>,
        /// Rows that were compared.
        rows: u64,
        /// Rows whose bits differ.
        differing: u64,
        /// The largest difference of two floats.
        largest: Option<Largest>,
        /// Rows that were not compared: which of both results belong together can't be told.
        unaligned: u64,
    },
    /// A stage failed.
    StageFailed {
        /// The stage's name.
        stage: String,
        /// What happened, where, and what to do.
        message: String,
    },
    /// A sink's files stand.
    SinkWritten {
        /// The sink.
        sink: String,
        /// Files written anew; the others are as they were.
        files: usize,
        /// All its files.
        files_in_all: usize,
        /// Rows of the whole sink.
        rows: u64,
    },
    /// A sink's rows have been appended to what it held.
    SinkAppended {
        /// The sink.
        sink: String,
        /// Records that were appended.
        records: u64,
        /// Rows of the whole sink.
        rows: u64,
    },
    /// Something that the user should know.
    Warning {
        /// What, and what to do.
        message: String,
    },
    /// Something went wrong. All of it is told before the last event.
    Error(Box<ErrorReport>),
    /// The last event.
    RunFinished(RunReport),
}

/// What results of a stage are compared with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Other {
    /// What another device gave, by what identifies it.
    Device(String),
    /// What a stage gives that computes the same.
    Stage(String),
    /// What the store has of it.
    Stored,
}

impl std::fmt::Display for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Device(device) => f.write_str(device),
            Self::Stage(stage) => write!(f, "the stage `{stage}`"),
            Self::Stored => f.write_str("what was stored"),
        }
    }
}

/// The largest difference between two results.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Largest {
    /// How much it is.
    pub difference: f64,
    /// Position of the segment in the dataset.
    pub segment: usize,
    /// The row in the segment, from 0.
    pub row: u64,
}

/// Who measured how long a device worked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimedBy {
    /// The device itself.
    Device,
    /// The processor, for some of it at least: from handing work over until its results were there.
    Host,
}

/// How much a run does of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageTasks {
    /// The stage's name.
    pub stage: String,
    /// Invocations that it has a part in.
    pub tasks: usize,
}

/// A member of a file's records that no column takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct IgnoredMember {
    /// Its path: `user.name`, `items[].price`; `labels.*` for all members of an object that has very many.
    pub member: String,
    /// The rows that have it.
    pub rows: u64,
}

/// The outcome of a run. Field names are fixed: other programs read them.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct RunReport {
    /// The plan's hash.
    pub plan: PlanHash,
    /// One per stage, in the plan's order.
    pub stages: Vec<StageReport>,
    /// One per sink, in the plan's order; those that were not reached are left out.
    pub outputs: Vec<OutputReport>,
    /// One per stream, in the plan's order; those whose sources were not read are left out.
    pub streams: Vec<StreamReport>,
    /// One per assert, in the plan's order; those that were not reached are left out.
    pub asserts: Vec<AssertReport>,
}

impl RunReport {
    /// Whether any stage failed or was not reached.
    pub fn is_complete(&self) -> bool {
        self.stages.iter().all(|stage| !matches!(stage.status, StageStatus::Failed | StageStatus::Skipped))
    }
}

/// What became of one stage.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct StageReport {
    /// The stage.
    pub name: String,
    /// What became of it.
    pub status: StageStatus,
    /// Segments that it ran over.
    pub segments_ran: u64,
    /// Segments whose results were there.
    pub segments_cached: u64,
    /// Rows of its outputs, cached ones included; of a stage that failed or was skipped those that it gave in this run.
    pub rows_out: u64,
    /// Time spent in the units that ran it, over all threads, shared evenly by the stages of a unit.
    pub seconds: f64,
    /// Why it ran, most telling first; empty if it did not.
    #[serde(with = "crate::status::reasons")]
    pub reasons: Vec<Reason>,
}

/// The states in which a stage can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageStatus {
    /// It ran over at least one segment.
    Ran,
    /// It did not run: its results, or all that is below it, were there.
    Cached,
    /// It did not run, and nothing of it is stored: what is needed of it are rows and columns of its inputs.
    Passthrough,
    /// It failed.
    Failed,
    /// It was not finished: the run ended before it was reached, or on the way.
    Skipped,
}

/// Whether a rule holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct AssertReport {
    /// The assert.
    pub name: String,
    /// How many rows break the rule.
    pub rows: u64,
    /// What follows if some do.
    pub on_failure: OnFailure,
}

/// What a sink holds.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct OutputReport {
    /// The sink.
    pub name: String,
    /// The stream that it holds.
    pub stream: String,
    /// Digest of the logical content: columns and rows, whatever the file format.
    pub digest: ContentDigest,
    /// How many rows.
    pub rows: u64,
}

/// A stream as a run left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct StreamReport {
    /// The stream.
    pub name: String,
    /// What identifies its rows: whoever shows them by it gets these or none.
    pub key: String,
}

/// Several parts of a run can fail, each on its own.
#[derive(Debug)]
pub struct RunFailure {
    /// All that failed; at least one.
    pub errors: Vec<Error>,
    /// What was done nevertheless, where the run got so far as to have a plan.
    pub report: Option<Box<RunReport>>,
}

impl From<Error> for RunFailure {
    fn from(error: Error) -> Self {
        Self { errors: vec![error], report: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_run_are_numbered_and_runs_differ() {
        let (first, second) = (Stamper::new(), Stamper::new());
        let warning = || Event::Warning { message: "a".to_owned() };
        let told = [first.stamp(warning()), first.stamp(warning()), second.stamp(warning())];
        assert_eq!(told.each_ref().map(|event| event.sequence), [1, 2, 1]);
        assert!(told[0].run == told[1].run && told[1].run != told[2].run);
        let json = serde_json::to_value(&told[0]).unwrap();
        let fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields.len(), 5, "{fields:?}");
        assert!(json["event"] == "warning" && json["message"] == "a" && json["time"].is_f64());
    }
}
