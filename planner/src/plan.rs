//! The plan: the canonical, hashed, fully resolved work list (DESIGN section 4).
//!
//! A plan holds wiring, code, config, source specifications and schemas. It holds no input bytes, no cache state, no
//! thread counts and no absolute paths, so that equal pipelines have equal plans on every machine. The status, which the executor makes
//! from a plan, the store and the sources, says what is to run, and why.

mod assertion;
mod code;
mod database;
mod delta;
mod flight;
mod format;
mod kafka;
mod kafka_sink;
mod keep;
mod limits;
mod numbers;
mod objects;
mod records;
mod sink;
mod source;
mod window;

use std::collections::BTreeMap;

use arrow_schema::{Field, SchemaRef};
use serde::{Deserialize, Serialize};

pub use crate::secret::SecretSource;
pub use assertion::OnFailure;
pub use code::{Code, KernelColumns, STANDARD_KERNELS, is_server};
pub use database::{
    BoundValue, Database, DatabaseRows, DatabaseSink, DatabaseSource, DriverSecret, Split, TableName, WriteMode,
};
pub use delta::{DeltaSink, DeltaSource, DeltaTable, TablePlace};
pub use flight::{FlightAsk, FlightSource};
pub use format::{Compression, CsvDialect, Format};
pub use kafka::{Bounds, KafkaTopic, Position, RecordColumn, RecordField, Sasl, SaslMechanism, Tls, TopicTime};
pub use kafka_sink::{ChangedRows, KafkaSink, RecordParts};
pub use keep::Keep;
pub use limits::{Cache, Isolate, Limits, Serialization};
pub(crate) use numbers::is_of_device;
pub use numbers::{Claim, DEVICE, NUMBERS, Tolerance};
pub use objects::{ObjectAddress, ObjectScheme, ObjectSink, Objects};
pub use records::{AvroFormat, ProtobufFormat, RECORD_SCHEMA, RECORD_SUBJECT, Registry, RegistryLogin, SubjectVersion};
pub use sink::{MANIFEST, Sink, SinkSpec, Target};
pub use source::{BadRows, Declared, Location, Rest, Source, SourceSpec};
pub(crate) use window::bound_type;
pub use window::{
    CalendarUnit, EventTime, Marks, RowPosition, WINDOW_COLUMNS, Window, WindowKind, is_time, shown_columns,
};

use crate::key::{PlanHash, StageDigest, StageKey, canonical_json};

/// The version of the plan's form. It is part of the hash.
pub const PLAN_VERSION: u32 = 2;

/// Index of a stream in [`Plan::streams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub usize);

/// Everything that `flowc run` will do, written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`] of the planner that made it.
    pub version: u32,
    /// The pipeline's name: the file's stem.
    pub pipeline: String,
    /// In the order of the text.
    pub sources: Vec<Source>,
    /// In topological order: a stage comes after all that it reads from. Ties by the order of the text.
    pub stages: Vec<Stage>,
    /// In the order of the text.
    pub sinks: Vec<Sink>,
    /// Every stream. Producers come before consumers.
    pub streams: Vec<Stream>,
}

impl Plan {
    /// The canonical text that is hashed: JSON, sorted members, no spaces.
    pub fn canonical(&self) -> String {
        canonical_json(&serde_json::to_value(self).expect("a plan is plain data"))
    }

    /// The plan's hash.
    pub fn hash(&self) -> PlanHash {
        PlanHash::of(&self.canonical())
    }

    /// The stream with this id.
    pub fn stream(&self, id: StreamId) -> &Stream {
        &self.streams[id.0]
    }

    /// What stays equal over all invocations of a stage.
    pub fn stage_key(&self, stage: usize) -> StageKey {
        // What is not in the key follows from what is, or changes no result.
        let Stage {
            digest,
            config,
            runner,
            inputs,
            secrets,
            name: _,
            code: _,
            chains: _,
            purity: _,
            outputs: _,
            partial: _,
            parts: _,
            limits: _,
            asserts: _,
            // It is in the runner.
            claim: _,
            reference: _,
        } = &self.stages[stage];
        let fields = |Input { stream, reads, port: _, class: _, key: _, window: _, because: _ }: &Input| {
            let schema = &self.stream(*stream).schema;
            reads.iter().map(|&column| schema.field(column)).collect()
        };
        let reads: Vec<Vec<&Field>> = inputs.iter().map(fields).collect();
        let key = StageKey::derive(digest, config, runner, &reads, secrets);
        self.stages[stage].window().map_or(key, |window| {
            let Window { kind, lateness_ms: _, time: _ } = window;
            key.windowed(|hasher| kind.hash_into(hasher))
        })
    }

    /// The stage that produces a stream, with the output port, unless a source does.
    pub fn producing_stage(&self, id: StreamId) -> Option<(usize, usize)> {
        match self.stream(id).producer {
            Producer::Stage { stage, port } => Some((stage, port)),
            Producer::Source { .. } | Producer::Rejects { .. } => None,
        }
    }
}

/// A named flow of batches with one schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// `name` of a source or of a stage's only output, `name.port` otherwise.
    pub name: String,
    /// The columns of the stream.
    pub schema: SchemaRef,
    /// Where it comes from.
    pub producer: Producer,
}

/// What fills a stream. Numbers are indices into the plan's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Producer {
    /// The rows of a source.
    Source {
        /// Index into [`Plan::sources`].
        source: usize,
    },
    /// The bad rows of a source, with reasons ([`BadRows::Stream`]).
    Rejects {
        /// Index into [`Plan::sources`].
        source: usize,
    },
    /// An output port of a stage.
    Stage {
        /// Index into [`Plan::stages`].
        stage: usize,
        /// Index into [`Stage::outputs`].
        port: usize,
    },
}

/// Code and config that map input streams to output streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// As in the text.
    pub name: String,
    /// The code as the text names it.
    pub code: Code,
    /// Identity of the code.
    pub digest: StageDigest,
    /// Typed by the stage's JSON Schema.
    pub config: serde_json::Value,
    /// What the runner adds to the key; sorted.
    pub runner: BTreeMap<String, String>,
    /// Whether its program runs adjacent stages in one invocation.
    pub chains: bool,
    /// How sure it is that the outputs depend on nothing but the keys.
    pub purity: Purity,
    /// One per input port, in the stage's order.
    pub inputs: Vec<Input>,
    /// One per output port, in the stage's order.
    pub outputs: Vec<Output>,
    /// Columns of the partials, when an input is combining.
    pub partial: Option<SchemaRef>,
    /// Number of invocations of a stage without inputs; 1 elsewhere.
    pub parts: u64,
    /// What the text says of running it.
    pub limits: Limits,
    /// The secrets that it is given, by name. Their values are in no plan and in no key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Of an assert, each of whose rows breaks a rule: what follows if there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asserts: Option<OnFailure>,
    /// What the text claims of its numbers, which may differ between devices as far as is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The stage whose results its own are compared with, where it is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

impl Stage {
    /// The input whose segments are taken one at a time: each gives an invocation of its own. At most one.
    pub fn driving(&self) -> Option<(usize, &Input)> {
        self.inputs.iter().enumerate().find(|(_, input)| input.is_driving())
    }

    /// Whether it is a component that runs in a process or a container of its own, and not in flowc's process.
    pub fn is_apart(&self) -> bool {
        self.limits.isolate >= Isolate::Process && self.code.is_component()
    }

    /// Whether the device that it runs on may decide the last bits of its results.
    pub fn is_of_device(&self) -> bool {
        self.runner.get(NUMBERS).is_some_and(|numbers| is_of_device(numbers))
    }

    /// Whether its partials are merged over segments. Those of a window are not kept: a window is one invocation.
    pub fn is_combining(&self) -> bool {
        self.inputs.iter().any(|input| input.class == Class::Combining && input.window.is_none())
    }
}

/// The grades of DESIGN section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purity {
    /// It can reach nothing but its inputs.
    Proven,
    /// A pinned environment without network or undeclared files.
    Sandboxed,
    /// Outputs may depend on the machine or the network.
    Open,
}

/// What a stage needs of an input before it can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A row gives zero, one or many rows, from itself alone.
    RowWise,
    /// A segment gives its answer from itself alone.
    PerSegment,
    /// A partial per segment, then an associative merge.
    Combining,
    /// Rows of one key together.
    Keyed,
    /// All rows, in order.
    Whole,
}

impl Class {
    /// Whether invocations are made segment by segment.
    pub fn is_driving(self) -> bool {
        matches!(self, Class::RowWise | Class::PerSegment | Class::Combining)
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Class::RowWise => "row-wise",
            Class::PerSegment => "per-segment",
            Class::Combining => "combining",
            Class::Keyed => "keyed",
            Class::Whole => "whole",
        })
    }
}

/// One input port of a stage, wired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The port's name.
    pub port: String,
    /// The stream that it reads.
    pub stream: StreamId,
    /// What the stage needs of it.
    pub class: Class,
    /// Indices of the columns that the stage reads, ascending. Nothing else reaches it.
    pub reads: Vec<usize>,
    /// How rows of one key are brought together, for a keyed input.
    pub key: Option<KeyGroups>,
    /// The windows by which rows are brought together, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Why it is of its class, where the stage says more than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

impl Input {
    /// Whether its segments are taken one at a time.
    pub fn is_driving(&self) -> bool {
        self.class.is_driving() && self.window.is_none()
    }

    /// The columns that decide which invocation a row goes to, beside those that the stage reads.
    pub fn dividing_columns(&self) -> Vec<usize> {
        match (&self.window, &self.key) {
            (Some(window), _) => window.columns(),
            (None, Some(key)) => key.columns.clone(),
            (None, None) => Vec::new(),
        }
    }
}

/// How the rows of a keyed input are partitioned: each group of keys is an invocation. It decides which rows meet, so it is
/// part of the plan and of the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyGroups {
    /// Indices of the key columns.
    pub columns: Vec<usize>,
    /// Number of groups.
    pub groups: u64,
    /// Names the hash of a key's bytes in Arrow's row format; modulo `groups` it is the group.
    pub hash: String,
}

impl KeyGroups {
    /// Groups by these columns.
    pub fn new(columns: Vec<usize>) -> Self {
        Self { columns, groups: 16, hash: "fnv1a-64 mixed 2".to_owned() }
    }
}

/// One output port of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The port's name.
    pub port: String,
    /// The stream that it fills.
    pub stream: StreamId,
    /// How the rows relate to those of an input.
    pub rows: Rows,
    /// Where each column of the stream's schema comes from, in order.
    pub columns: Vec<OutputColumn>,
}

/// What an output does to the rows of an input; enforced by the host. Numbers are indices into [`Stage::inputs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rows {
    /// The same rows in the same order.
    Same {
        /// Of which input.
        input: usize,
    },
    /// Rows picked from the input's, each never, once or repeatedly.
    Subset {
        /// Of which input.
        input: usize,
    },
    /// Rows of the stage's own making.
    New,
}

impl Rows {
    /// The input whose rows these are.
    pub fn input(self) -> Option<usize> {
        match self {
            Rows::Same { input } | Rows::Subset { input } => Some(input),
            Rows::New => None,
        }
    }
}

/// Where an output column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputColumn {
    /// The stage writes it. Written columns are pushed in this order.
    Written,
    /// It is a column of the input that [`Output::rows`] names, perhaps under another name.
    Passed {
        /// Index into the input stream's columns.
        column: usize,
    },
}
