//! Units: stages that are executed together, and where streams must be stored. A pure function of a plan.
//!
//! Two adjacent stages run in one unit when they have the same runner (in processes: the same process), neither is
//! isolated, and the stream between them need not be stored. A stage joins the unit through its one driving input; its `whole` inputs come from the
//! store. A combining stage ends its unit: its partial phase runs there.
//!
//! A unit is a chain of stages, or a tree: where several components read a stream, each may be handed its batches. So it is if all
//! that they and the stages after them need besides are sources: what they need of other stages would have to be made first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::{Class, Code, Isolate, Plan, Producer, Stage};

/// Adjacent stages that are executed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Indices into [`Plan::stages`], each after the one whose batches it takes.
    pub stages: Vec<usize>,
    /// The kind of runner that executes the stages.
    pub runner: std::borrow::Cow<'static, str>,
    /// Why the unit ends with its last stage.
    pub boundary: Boundary,
    /// The stages with which the branches of a tree end, each with the reason; of a chain, nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<Branch>,
}

/// The end of a branch of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Index of its last stage.
    pub stage: usize,
    /// Why the branch ends there.
    pub boundary: Boundary,
}

impl Unit {
    /// The stages with which it ends, each with the reason.
    pub fn ends(&self) -> Vec<Branch> {
        let last = self.stages.last().map(|&stage| Branch { stage, boundary: self.boundary.clone() });
        if self.branches.is_empty() { last.into_iter().collect() } else { self.branches.clone() }
    }
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
    /// Its rows break a rule, so the run looks at them.
    Assert,
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
            Boundary::Assert => f.write_str("an assert"),
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
    /// Whether the run looks at the rows, since they break a rule.
    is_asserted: bool,
}

fn readers(plan: &Plan) -> Vec<Readers> {
    let mut readers: Vec<Readers> = plan.streams.iter().map(|_| Readers::default()).collect();
    for (stage, declared) in plan.stages.iter().enumerate() {
        for (input, wired) in declared.inputs.iter().enumerate() {
            readers[wired.stream.0].stages.push((stage, input));
        }
    }
    plan.sinks.iter().for_each(|sink| readers[sink.stream.0].sinks += 1);
    for output in plan.stages.iter().filter(|stage| stage.asserts.is_some()).flat_map(|stage| &stage.outputs) {
        readers[output.stream.0].is_asserted = true;
    }
    readers
}

/// Per stream of the plan: why it is stored, if it is. Streams of sources never are: they are read again.
pub fn stored_edges(plan: &Plan) -> Vec<Option<Boundary>> {
    let all = readers(plan);
    let reasons = plan.streams.iter().zip(&all).map(|(stream, readers)| match stream.producer {
        Producer::Stage { stage, .. } => reason(plan, &plan.stages[stage], readers),
        Producer::Source { .. } | Producer::Rejects { .. } => None,
    });
    let mut reasons: Vec<_> = reasons.collect();
    // From the last stream on: what the branches of a stream need is known when it has its turn.
    let mut is_free = vec![true; plan.streams.len()];
    for stream in (0..plan.streams.len()).rev() {
        let readers = &all[stream].stages;
        is_free[stream] = readers.iter().all(|&(reader, _)| needs_sources_alone(plan, reader, &reasons, &is_free));
        if readers.len() > 1 && reasons[stream].is_none() && !is_free[stream] {
            reasons[stream] = Some(Boundary::FanOut { readers: readers.len() });
        }
    }
    reasons
}

/// Whether a stage, and those that its batches are handed on to, take nothing whole but sources. `is_free` says so of all that read
/// a stream.
fn needs_sources_alone(plan: &Plan, stage: usize, stored: &[Option<Boundary>], is_free: &[bool]) -> bool {
    let mut whole = plan.stages[stage].inputs.iter().filter(|input| !input.is_driving());
    whole.all(|input| plan.producing_stage(input.stream).is_none())
        && handed_on(plan, stage, stored).all(|stream| is_free[stream])
}

fn reason(plan: &Plan, producer: &Stage, readers: &Readers) -> Option<Boundary> {
    let count = readers.stages.len() + readers.sinks + usize::from(readers.is_asserted);
    let slow = producer.inputs.iter().map(|input| input.class);
    let after = (producer.driving().is_none() || producer.is_combining())
        .then(|| slow.max_by_key(|class| (*class == Class::Combining, *class == Class::Keyed)))
        .flatten();
    match (after, &readers.stages[..]) {
        _ if producer.limits.cache.is_stored() => Some(Boundary::Cache),
        _ if count == 0 => None,
        _ if producer.outputs.len() > 1 => Some(Boundary::SeveralOutputs),
        (Some(class), _) => Some(Boundary::Producer { class }),
        (None, [(stage, input)]) if count == 1 => between(plan, producer, *stage, *input),
        _ if can_fork(plan, producer, readers) => None,
        (None, _) if count > 1 => Some(Boundary::FanOut { readers: count }),
        (None, _) if readers.is_asserted => Some(Boundary::Assert),
        (None, _) => Some(Boundary::Sink),
    }
}

/// Whether each reader of a stage can be handed its batches. In a process they go straight from one stage to the next.
fn can_fork(plan: &Plan, producer: &Stage, readers: &Readers) -> bool {
    let joins = |&(stage, input): &(usize, usize)| between(plan, producer, stage, input).is_none();
    readers.sinks == 0 && !readers.is_asserted && producer.code.is_component() && readers.stages.iter().all(joins)
}

/// Why a stage and its only reader cannot be in one unit.
fn between(plan: &Plan, producer: &Stage, stage: usize, input: usize) -> Option<Boundary> {
    let reader = &plan.stages[stage];
    let class = reader.inputs[input].class;
    let by = producer.limits.isolate.max(reader.limits.isolate);
    if by != Isolate::No {
        Some(Boundary::Isolated { by })
    } else if !can_meet(&producer.code, &reader.code) {
        Some(Boundary::OtherRunner { stage })
    } else if let Some(cause) = own_process(producer, reader) {
        Some(Boundary::OtherProcess { stage, cause })
    } else if !reader.inputs[input].is_driving() {
        Some(Boundary::Reader { stage, class })
    } else if reader.inputs.iter().any(|other| other.class == Class::Keyed) {
        Some(Boundary::Reader { stage, class: Class::Keyed })
    } else {
        None
    }
}

/// Whether what runs one code can hand batches to what runs the other.
fn can_meet(above: &Code, below: &Code) -> bool {
    let is_here = |code: &Code| code.is_in_process() || code.adds_marks();
    above.runner() == below.runner() || (is_here(above) && is_here(below))
}

/// The plan's stages in units. A unit comes after all units whose streams it reads.
pub fn units(plan: &Plan) -> Vec<Unit> {
    let (stored, readers) = (stored_edges(plan), readers(plan));
    // Each stage is in the unit of the stage that hands it its batches; of a unit the first stage is the least.
    let mut first: Vec<usize> = (0..plan.stages.len()).collect();
    for stage in 0..plan.stages.len() {
        for stream in handed_on(plan, stage, &stored) {
            readers[stream].stages.iter().for_each(|&(reader, _)| first[reader] = first[stage]);
        }
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    first.iter().enumerate().for_each(|(stage, &first)| members.entry(first).or_default().push(stage));
    let is_end = |stage: usize| handed_on(plan, stage, &stored).all(|stream| readers[stream].stages.is_empty());
    let of = |stages: Vec<usize>| unit(plan, &stored, stages, is_end);
    in_order(plan, &first, members.into_values().map(of).collect())
}

/// The streams of a stage that are not stored: their batches are handed on.
fn handed_on<'a>(plan: &'a Plan, stage: usize, stored: &'a [Option<Boundary>]) -> impl Iterator<Item = usize> + 'a {
    plan.stages[stage].outputs.iter().map(|output| output.stream.0).filter(|&stream| stored[stream].is_none())
}

/// Sorts units by their last stages, and puts each after all that it reads: a branch may be read before the last stage's turn.
fn in_order(plan: &Plan, first: &[usize], units: Vec<Unit>) -> Vec<Unit> {
    let mut waiting: BTreeMap<Option<usize>, Unit> =
        units.into_iter().map(|unit| (unit.stages.last().copied(), unit)).collect();
    let mut ordered: Vec<Unit> = Vec::new();
    let mut is_there = vec![false; plan.stages.len()];
    loop {
        let mut ready = waiting.iter().filter(|(_, unit)| reads_what_is_there(plan, first, unit, &is_there));
        let Some(next) = ready.next().map(|(&last, _)| last) else { return ordered };
        let Some(unit) = waiting.remove(&next) else { return ordered };
        unit.stages.iter().for_each(|&stage| is_there[stage] = true);
        ordered.push(unit);
    }
}

fn reads_what_is_there(plan: &Plan, first: &[usize], unit: &Unit, is_there: &[bool]) -> bool {
    let inputs =
        unit.stages.iter().flat_map(|&stage| plan.stages[stage].inputs.iter().map(move |input| (stage, input)));
    let mut producers = inputs.filter_map(|(stage, input)| Some((stage, plan.producing_stage(input.stream)?.0)));
    producers.all(|(stage, producer)| is_there[producer] || first[producer] == first[stage])
}

fn unit(plan: &Plan, stored: &[Option<Boundary>], stages: Vec<usize>, is_end: impl Fn(usize) -> bool) -> Unit {
    let end = |&stage: &usize| {
        let mut reasons = plan.stages[stage].outputs.iter().filter_map(|output| stored[output.stream.0].clone());
        Branch { stage, boundary: reasons.next().unwrap_or(Boundary::Unread) }
    };
    let mut branches: Vec<Branch> = stages.iter().filter(|&&stage| is_end(stage)).map(end).collect();
    let boundary = branches.last().map_or(Boundary::Unread, |last| last.boundary.clone());
    if branches.len() == 1 {
        branches.clear();
    }
    let last = &plan.stages[stages[stages.len() - 1]];
    let mut names: Vec<&str> = stages.iter().map(|&stage| plan.stages[stage].code.runner()).collect();
    names.dedup();
    let name = names.join(", ");
    // A stage that is isolated is alone in its unit.
    let runner = match last.limits.isolate {
        Isolate::Process if last.code.is_component() => format!("{name} in a process").into(),
        Isolate::Container if !last.code.is_contained() => format!("{name} in a container").into(),
        _ => name.into(),
    };
    Unit { runner, stages, boundary, branches }
}
