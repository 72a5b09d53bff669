//! The plan held against store and sources: what is cached, what is to run, and why.

use serde::Serialize;

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// One per source.
    pub sources: Vec<SourceStatus>,
    /// One per stage, in the plan's order.
    pub stages: Vec<StageOutlook>,
    /// One per sink.
    pub sinks: Vec<SinkStatus>,
}

/// A source's files against what is remembered of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceStatus {
    /// The source.
    pub name: String,
    /// Files that it matches.
    pub files: usize,
    /// Files that are new or were changed: they must be read before more is known.
    pub to_read: Vec<String>,
    /// Segments known so far.
    pub segments: usize,
}

/// What a run would do with a stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageOutlook {
    /// The stage.
    pub name: String,
    /// Segments that would run, as far as is known.
    pub to_run: usize,
    /// Whether what its segments gave would be combined anew.
    pub merges: bool,
    /// Segments whose results are there.
    pub cached: usize,
    /// Whether more may be to run, once changed source files have been read.
    pub unknown: bool,
    /// Why segments would run, most telling first. Empty when nothing would.
    pub reasons: Vec<Reason>,
}

/// Why a segment would run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// The pipeline has not run in this store, or the stage is new in it.
    NeverRan,
    /// Its code is another than in the last run.
    Code {
        /// The digest then.
        before: String,
        /// The digest now.
        now: String,
    },
    /// A value of its config is another than in the last run.
    Config {
        /// JSON pointer to the value.
        path: String,
        /// The value then; none if it is new.
        before: Option<String>,
        /// The value now; none if it is gone.
        now: Option<String>,
    },
    /// It is given other secrets than in the last run, by their names and places.
    Secrets {
        /// Those then, as in the text.
        before: Vec<String>,
        /// Those now.
        now: Vec<String>,
    },
    /// A column that it reads is another than in the last run.
    Column {
        /// The input port.
        input: String,
        /// The column.
        column: String,
        /// Segments in which it differs, by the names of their files where they have one.
        segments: Vec<String>,
    },
    /// Segments came or went.
    Segments {
        /// The input port.
        input: String,
        /// How many are new.
        added: usize,
        /// How many are gone.
        removed: usize,
    },
    /// Files of a source are new or were changed, and must be read first.
    UnreadFiles {
        /// The source.
        source: String,
        /// The files.
        files: Vec<String>,
    },
    /// The result was there and has been removed by `store gc`.
    Evicted,
    /// The stage above it will run, and its result may differ.
    Upstream {
        /// The stage above.
        stage: String,
    },
    /// `--force`.
    Forced,
    /// No sink needs it: it does not run.
    Unneeded,
}

/// A sink's files against what is remembered of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SinkStatus {
    /// The sink.
    pub name: String,
    /// What would happen to it.
    pub outlook: SinkOutlook,
}

/// What would happen to a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkOutlook {
    /// It stands as it should.
    UpToDate,
    /// It would be written, since its rows are new or have changed.
    Write,
    /// It was deleted or altered, and would be written again from the store.
    Restore,
    /// Standard output is always written.
    Print,
}
