//! Units: chains of stages that are executed together, and where streams must be stored. A pure function of a plan.
//!
//! Two adjacent stages run in one unit when they have the same runner (in processes: the same process), neither is
//! isolated, and the stream between them need not be stored. A stage joins the chain through its one driving input; its `whole` inputs come from the
//! store. A combining stage is the last of its unit: its partial phase runs in the chain.

use serde::{Deserialize, Serialize};

use crate::plan::{Class, Isolate, Plan, Producer, Stage, StreamId};

/// A chain of adjacent stages that are executed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Indices into [`Plan::stages`], in the order in which batches pass.
    pub stages: Vec<usize>,
    /// The kind of runner that executes the stages.
    pub runner: std::borrow::Cow<'static, str>,
    /// Why the chain ends.
    pub boundary: Boundary,
}

/// Why a stream is stored, and so why a unit ends. Numbers are indices into [`Plan::stages`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Boundary {
    /// The producer has several outputs.
    SeveralOutputs,
    /// The producer answers only after a whole input.
    Producer {
        /// The class that says so.
        class: Class,
    },
    /// `cache #true`.
    Cache,
    /// One of the two stages is isolated, above or below.
    Isolated {
        /// How: the further of the two.
        by: Isolate,
    },
    /// More than one reader.
    FanOut {
        /// Number of readers.
        readers: usize,
    },
    /// A sink reads it.
    Sink,
    /// The reader needs all of it at once.
    Reader {
        /// Index of the stage that reads it.
        stage: usize,
        /// The class of its input.
        class: Class,
    },
    /// The reader has another runner.
    OtherRunner {
        /// Index of the stage that reads it.
        stage: usize,
    },
    /// The reader runs in another process.
    OtherProcess {
        /// Index of the stage that reads it.
        stage: usize,
        /// Why the reader can't share the producer's process.
        cause: OwnProcess,
    },
    /// Nothing reads it. Such a stream is not stored.
    Unread,
}

impl std::fmt::Display for Boundary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Boundary::SeveralOutputs => f.write_str("several outputs"),
            Boundary::Producer { class } => write!(f, "the stage has a {class} input"),
            Boundary::Cache => f.write_str("cache #true"),
            Boundary::Isolated { by } => write!(f, "isolate {by}"),
            Boundary::FanOut { readers } => write!(f, "{readers} readers"),
            Boundary::Sink => f.write_str("a sink"),
            Boundary::Reader { class, .. } => write!(f, "the reader's input is {class}"),
            Boundary::OtherRunner { .. } => f.write_str("the reader has another runner"),
            Boundary::OtherProcess { cause, .. } => write!(f, "the reader has a process of its own: {cause}"),
            Boundary::Unread => f.write_str("nothing reads it"),
        }
    }
}

/// What keeps two stages in processes out of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnProcess {
    /// They are of different projects or images.
    Program,
    /// The program of one of them runs one stage at a time.
    Single,
    /// Their limits differ, or one has a `timeout`: limits are those of a process.
    Limits,
    /// Their serializations differ: an invocation has one.
    Serialization,
    /// The reader has several inputs or outputs: within a process, batches go straight from one stage to the next.
    Ports,
}

impl std::fmt::Display for OwnProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            OwnProcess::Program => "another program",
            OwnProcess::Single => "the program runs one stage at a time",
            OwnProcess::Limits => "other limits",
            OwnProcess::Serialization => "another serialization",
            OwnProcess::Ports => "it has several inputs or outputs",
        })
    }
}

/// Why a reader can't run in its producer's process, where stages run in processes.
fn own_process(producer: &Stage, reader: &Stage) -> Option<OwnProcess> {
    let (above, below) = (producer.code.program()?, reader.code.program()?);
    let room = |stage: &Stage| (stage.limits.memory, stage.limits.processors());
    let timeout = producer.limits.timeout_ms.or(reader.limits.timeout_ms);
    if above != below || producer.runner != reader.runner {
        Some(OwnProcess::Program)
    } else if !(producer.chains && reader.chains) {
        Some(OwnProcess::Single)
    } else if room(producer) != room(reader) || timeout.is_some() {
        Some(OwnProcess::Limits)
    } else if producer.limits.serialization != reader.limits.serialization {
        Some(OwnProcess::Serialization)
    } else if reader.inputs.len() != 1 || reader.outputs.len() != 1 {
        Some(OwnProcess::Ports)
    } else {
        None
    }
}

#[derive(Default)]
struct Readers {
    /// (stage, input) of each reading stage.
    stages: Vec<(usize, usize)>,
    sinks: usize,
}

fn readers(plan: &Plan) -> Vec<Readers> {
    let mut readers: Vec<Readers> = plan.streams.iter().map(|_| Readers::default()).collect();
    for (stage, declared) in plan.stages.iter().enumerate() {
        for (input, wired) in declared.inputs.iter().enumerate() {
            readers[wired.stream.0].stages.push((stage, input));
        }
    }
    plan.sinks.iter().for_each(|sink| readers[sink.stream.0].sinks += 1);
    readers
}

/// Per stream of the plan: why it is stored, if it is. Streams of sources never are: they are read again.
pub fn stored_edges(plan: &Plan) -> Vec<Option<Boundary>> {
    let all = plan.streams.iter().zip(readers(plan));
    all.map(|(stream, readers)| match stream.producer {
        Producer::Stage { stage, .. } => reason(plan, &plan.stages[stage], &readers),
        Producer::Source { .. } | Producer::Rejects { .. } => None,
    })
    .collect()
}

fn reason(plan: &Plan, producer: &Stage, readers: &Readers) -> Option<Boundary> {
    let count = readers.stages.len() + readers.sinks;
    let slow = producer.inputs.iter().map(|input| input.class);
    let after = (producer.driving().is_none() || producer.is_combining())
        .then(|| slow.max_by_key(|class| (*class == Class::Combining, *class == Class::Keyed)))
        .flatten();
    match (after, &readers.stages[..]) {
        _ if producer.limits.cache.is_stored() => Some(Boundary::Cache),
        _ if count == 0 => None,
        _ if producer.outputs.len() > 1 => Some(Boundary::SeveralOutputs),
        (Some(class), _) => Some(Boundary::Producer { class }),
        _ if count > 1 => Some(Boundary::FanOut { readers: count }),
        (None, [(stage, input)]) => between(plan, producer, *stage, *input),
        (None, _) => Some(Boundary::Sink),
    }
}

/// Why a stage and its only reader cannot be in one unit.
fn between(plan: &Plan, producer: &Stage, stage: usize, input: usize) -> Option<Boundary> {
    let reader = &plan.stages[stage];
    let class = reader.inputs[input].class;
    let by = producer.limits.isolate.max(reader.limits.isolate);
    if by != Isolate::No {
        Some(Boundary::Isolated { by })
    } else if producer.code.runner() != reader.code.runner() {
        Some(Boundary::OtherRunner { stage })
    } else if let Some(cause) = own_process(producer, reader) {
        Some(Boundary::OtherProcess { stage, cause })
    } else if !class.is_driving() {
        Some(Boundary::Reader { stage, class })
    } else if reader.inputs.iter().any(|other| other.class == Class::Keyed) {
        Some(Boundary::Reader { stage, class: Class::Keyed })
    } else {
        None
    }
}

/// The plan's stages in units. A unit comes after all units whose streams it reads.
pub fn units(plan: &Plan) -> Vec<Unit> {
    let (stored, readers) = (stored_edges(plan), readers(plan));
    let continues = |stage: usize| -> Option<usize> {
        let [output] = &plan.stages[stage].outputs[..] else { return None };
        let StreamId(stream) = output.stream;
        let reader = readers[stream].stages.first()?.0;
        stored[stream].is_none().then_some(reader)
    };
    let next: Vec<Option<usize>> = (0..plan.stages.len()).map(continues).collect();
    let mut is_first = vec![true; plan.stages.len()];
    next.iter().flatten().for_each(|&reader| is_first[reader] = false);
    let firsts = (0..plan.stages.len()).filter(|&stage| is_first[stage]);
    let mut units: Vec<Unit> = firsts.map(|first| unit(plan, &stored, first, &next)).collect();
    // Only the last stage of a unit is read by others, so the order of last stages is an order of units.
    units.sort_by_key(|unit| unit.stages.last().copied());
    units
}

fn unit(plan: &Plan, stored: &[Option<Boundary>], first: usize, next: &[Option<usize>]) -> Unit {
    let stages: Vec<usize> = std::iter::successors(Some(first), |&stage| next[stage]).collect();
    let last = &plan.stages[stages[stages.len() - 1]];
    let mut reasons = last.outputs.iter().filter_map(|output| stored[output.stream.0].clone());
    let boundary = reasons.next().unwrap_or(Boundary::Unread);
    // Such a stage is alone in its unit.
    let name = last.code.runner();
    let runner = match last.limits.isolate {
        Isolate::Process if last.code.is_component() => format!("{name} in a process").into(),
        Isolate::Container if !last.code.is_contained() => format!("{name} in a container").into(),
        _ => name.into(),
    };
    Unit { runner, stages, boundary }
}
