//! Joins streams to inputs by name, and puts stages in order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::rc::Rc;

use crate::catalogue::{Blame, Catalogue, OwnFiles, Problem, Signature};
use crate::diagnostic::{Problems, StageProblem, WiringProblem, either, list, suggest};
use crate::place::Place;
use crate::plan::Code;
use crate::read::{Pipeline, StageDecl, WindowDecl, Wire};
use crate::text::Texts;

/// What fills a stream. Numbers count declarations in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Origin {
    Source(usize),
    Rejects(usize),
    Stage {
        stage: usize,
        port: usize,
    },
    /// The rows of an input of a stage that came too late for its windows.
    Late {
        stage: usize,
        input: usize,
    },
    /// The rows of a source with what says how they are in it.
    MarkedSource(usize),
    /// Those of a stage that hands on all rows of a source.
    MarkedStage {
        stage: usize,
        port: usize,
    },
}

impl Origin {
    /// The same rows with what says how they are in their source.
    pub(crate) fn marked(self) -> Self {
        match self {
            Self::Source(source) => Self::MarkedSource(source),
            Self::Stage { stage, port } => Self::MarkedStage { stage, port },
            other => other,
        }
    }
}

/// A pipeline with its names resolved. Lists run parallel to the pipeline's; what could not be resolved is none.
pub(crate) struct Resolved {
    pub(crate) pipeline: Pipeline,
    pub(crate) signatures: Vec<Option<Rc<Signature>>>,
    /// Per stage, per input port.
    pub(crate) inputs: Vec<Option<Vec<Origin>>>,
    pub(crate) sinks: Vec<Option<Origin>>,
    /// Stages, each after all that it reads from; ties by the order of the text. Those in or below a cycle are absent.
    pub(crate) order: Vec<usize>,
}

impl Resolved {
    /// The declared windows of a stage's inputs, port by port.
    pub(crate) fn windows(&self, stage: usize) -> Vec<Option<&WindowDecl>> {
        let declared = &self.pipeline.stages[stage];
        let Some(signature) = &self.signatures[stage] else { return Vec::new() };
        let mut windows = vec![None; signature.inputs.len()];
        for wire in &declared.inputs {
            if let Ok(port) = port_of(wire, declared, signature) {
                windows[port] = wire.window.as_ref();
            }
        }
        windows
    }

    /// Whether something reads what comes of an origin.
    pub(crate) fn is_read(&self, origin: Origin) -> bool {
        let inputs = self.inputs.iter().flatten().flatten();
        inputs.chain(self.sinks.iter().flatten()).any(|read| *read == origin)
    }

    pub(crate) fn new(
        mut pipeline: Pipeline,
        texts: &Texts,
        catalogue: &mut dyn Catalogue,
        problems: &mut Problems,
    ) -> Self {
        let (sources, sinks) = (&pipeline.sources, &pipeline.sinks);
        let sources = sources.iter().filter_map(|source| source.spec.as_ref());
        catalogue.leave_out(&OwnFiles::new(sources, sinks.iter().filter_map(|sink| sink.spec.as_ref())));
        let signatures = signatures(&pipeline.stages, texts, catalogue, problems);
        check_isolation(&pipeline.stages, catalogue, problems);
        leave_out_unread(&mut pipeline.stages, &signatures, problems);
        let names = Names::new(&pipeline, &signatures);
        let wired = pipeline.stages.iter().zip(&signatures).map(|(stage, signature)| match signature {
            Some(signature) => names.inputs(stage, signature, problems),
            None => {
                // Its ports are unknown, but the streams that it names must be there all the same.
                for wire in &stage.inputs {
                    names.find(wire, problems);
                }
                None
            }
        });
        let inputs = wired.collect();
        let sinks = pipeline.sinks.iter().map(|sink| names.find(sink.input.as_ref()?, problems)).collect();
        let order = order(&pipeline.stages, &names, problems);
        Self { signatures, inputs, sinks, order, pipeline }
    }
}

/// What is behind each stage's code; each code is asked for once.
fn signatures(
    stages: &[StageDecl],
    texts: &Texts,
    catalogue: &mut dyn Catalogue,
    problems: &mut Problems,
) -> Vec<Option<Rc<Signature>>> {
    let codes = stages.iter().rev().filter_map(|stage| Some((stage, stage.code.as_ref()?)));
    let places: BTreeMap<&Code, _> = codes.map(|(stage, (code, place))| (code, (stage, *place))).collect();
    let asked: Vec<Code> = places.keys().map(|code| (*code).clone()).collect();
    let mut known: HashMap<&Code, Rc<Signature>> = HashMap::new();
    for ((code, (stage, place)), answer) in places.iter().zip(catalogue.signatures(&asked)) {
        match answer {
            Ok(signature) if signature.outputs.is_empty() => {
                let message = "it has no outputs".to_owned();
                problems.at(*place, StageProblem::Contract { code: code.to_string(), message });
            }
            Ok(signature) => drop(known.insert(code, Rc::new(signature))),
            Err(Problem { message, help, blame, config_path, .. }) => {
                let code = code.to_string();
                let part = config_path.and_then(|path| stage.code_part(texts, &path));
                problems.at(
                    part.unwrap_or(*place),
                    match blame {
                        Blame::Lock => StageProblem::AgainstLock { code, message, help },
                        Blame::Machine => StageProblem::Machine { code, message, help },
                        Blame::Pipeline => StageProblem::Code { code, message, help },
                    },
                );
            }
        }
    }
    stages.iter().map(|stage| known.get(&stage.code.as_ref()?.0).cloned()).collect()
}

/// Leaves each output of a stage those inputs that its statement reads. One that none of them reads is a mistake.
fn leave_out_unread(stages: &mut [StageDecl], signatures: &[Option<Rc<Signature>>], problems: &mut Problems) {
    let reads = |at: usize, wire: &Wire| {
        signatures[at].as_ref().is_none_or(|known| wire.port.as_ref().is_none_or(|port| known.inputs.contains(port)))
    };
    let mut unread: BTreeMap<Place, (String, String)> = BTreeMap::new();
    let mut read = BTreeSet::new();
    for (at, stage) in stages.iter_mut().enumerate() {
        let Some(of) = &stage.output_of else { continue };
        for wire in &stage.inputs {
            if reads(at, wire) {
                read.insert(wire.place);
            } else if let Some(port) = &wire.port {
                unread.insert(wire.place, (of.text.clone(), port.clone()));
            }
        }
        stage.inputs.retain(|wire| reads(at, wire));
    }
    for (place, (stage, input)) in unread.into_iter().filter(|(place, _)| !read.contains(place)) {
        problems.at(place, WiringProblem::UnreadInput { stage, input });
    }
}

/// Says which stages can't be isolated as their text says.
fn check_isolation(stages: &[StageDecl], catalogue: &mut dyn Catalogue, problems: &mut Problems) {
    for stage in stages {
        let isolate = stage.limits.isolate;
        if let (Some(place), Err(problem)) = (stage.isolation, catalogue.isolation(isolate)) {
            let Problem { message, help, .. } = problem;
            problems.at(place, StageProblem::Machine { code: format!("isolate {isolate}"), message, help });
        }
    }
}

#[derive(Clone, Copy)]
enum Named {
    Source(usize),
    Stage(usize),
}

/// All names that fill streams.
struct Names<'a> {
    pipeline: &'a Pipeline,
    signatures: &'a [Option<Rc<Signature>>],
    by_name: HashMap<&'a str, Named>,
}

impl<'a> Names<'a> {
    fn new(pipeline: &'a Pipeline, signatures: &'a [Option<Rc<Signature>>]) -> Self {
        let sources = pipeline.sources.iter().enumerate().map(|(i, s)| (s.name.text.as_str(), Named::Source(i)));
        let stages = pipeline.stages.iter().enumerate().map(|(i, s)| (s.name.text.as_str(), Named::Stage(i)));
        Self { pipeline, signatures, by_name: sources.chain(stages).collect() }
    }

    /// The stage that a stream comes from, whatever its port.
    fn stage_of(&self, wire: &Wire) -> Option<usize> {
        let (name, _) = self.parts(wire.stream.as_deref()?);
        match self.by_name.get(name)? {
            Named::Stage(stage) => Some(*stage),
            Named::Source(_) => None,
        }
    }

    /// The name of what gives a stream, and the port. An output of a stage with several statements has the name of both.
    fn parts<'n>(&self, stream: &'n str) -> (&'n str, Option<&'n str>) {
        if self.by_name.contains_key(stream) {
            return (stream, None);
        }
        let known = stream.rsplit_once('.').filter(|(name, _)| self.by_name.contains_key(name));
        known.or_else(|| stream.split_once('.')).map_or((stream, None), |(name, port)| (name, Some(port)))
    }

    /// What is wrong with a stream of a stage with several statements, if there is such a stage.
    fn of_outputs(&self, name: &str, port: Option<&str>) -> Option<WiringProblem> {
        let is_of = |stage: &&StageDecl| stage.output_of.as_ref().is_some_and(|of| of.text == name);
        let outputs: Vec<&str> =
            self.pipeline.stages.iter().filter(is_of).map(|stage| stage.name.text.as_str()).collect();
        let stage = (!outputs.is_empty()).then(|| name.to_owned())?;
        Some(match port {
            None => WiringProblem::WhichOutput { stage, outputs: either(outputs) },
            Some(port) => WiringProblem::UnknownOutput { stage, port: port.to_owned(), outputs: list(outputs) },
        })
    }

    /// What fills the stream; none where there is no such stream, or where that cannot be known.
    fn find(&self, wire: &Wire, problems: &mut Problems) -> Option<Origin> {
        let stream = wire.stream.as_deref()?;
        let (name, port) = self.parts(stream);
        let found = match self.by_name.get(name) {
            None if !self.pipeline.is_whole => return None,
            None => Err(self.of_outputs(name, port).unwrap_or_else(|| self.unknown(stream))),
            Some(Named::Source(source)) => self.of_source(*source, port),
            Some(Named::Stage(stage)) => match &self.signatures[*stage] {
                Some(signature) => match self.late(*stage, port, signature) {
                    Some(late) => Ok(late),
                    None => of_stage(*stage, name, port, signature),
                },
                None => return None,
            },
        };
        found.map_err(|problem| problems.at(wire.place, problem)).ok()
    }

    /// The late rows that a port means: `late`, or `late-` and the name of the input where several have windows. An output of the stage
    /// that has the name comes first.
    fn late(&self, stage: usize, port: Option<&str>, signature: &Signature) -> Option<Origin> {
        let (declared, port) = (&self.pipeline.stages[stage], port?);
        let has_late_rows = |wire: &&Wire| wire.window.as_ref().is_none_or(WindowDecl::has_late_rows);
        let windowed = declared.inputs.iter().filter(|wire| wire.is_windowed).filter(has_late_rows);
        let windowed: Vec<usize> = windowed.filter_map(|wire| port_of(wire, declared, signature).ok()).collect();
        let is_meant = |&&input: &&usize| match windowed.len() {
            1 => port == "late",
            _ => port.strip_prefix("late-") == Some(signature.inputs[input].as_str()),
        };
        let is_output = signature.outputs.len() > 1 && signature.outputs.iter().any(|output| output == port);
        let input = windowed.iter().find(is_meant).filter(|_| !is_output)?;
        Some(Origin::Late { stage, input: *input })
    }

    fn unknown(&self, stream: &str) -> WiringProblem {
        let mut known: Vec<&str> = self.by_name.keys().copied().collect();
        known.sort_unstable();
        WiringProblem::UnknownStream { name: stream.to_owned(), help: suggest(stream, known) }
    }

    fn of_source(&self, source: usize, port: Option<&str>) -> Result<Origin, WiringProblem> {
        let declared = &self.pipeline.sources[source];
        match port {
            None => Ok(Origin::Source(source)),
            Some("rejects") if declared.rejects => Ok(Origin::Rejects(source)),
            Some(port) => {
                let (source_name, port) = (declared.name.text.clone(), port.to_owned());
                Err(WiringProblem::SourceStream { source_name, port })
            }
        }
    }

    /// What fills each input port; none where the text joins them wrongly.
    fn inputs(&self, stage: &StageDecl, signature: &Signature, problems: &mut Problems) -> Option<Vec<Origin>> {
        let before = problems.len();
        let mut ports: Vec<Option<&Wire>> = vec![None; signature.inputs.len()];
        for wire in &stage.inputs {
            match port_of(wire, stage, signature) {
                Ok(port) if ports[port].is_none() => ports[port] = Some(wire),
                Ok(_) => {
                    problems.at(wire.place, WiringProblem::SecondStream { stage: stage.name.text.clone() });
                }
                Err(problem) => problems.at(wire.place, problem),
            }
        }
        if problems.len() == before {
            for (port, _) in signature.inputs.iter().zip(&ports).filter(|(_, wire)| wire.is_none()) {
                let (name, port, example) = (stage.name.text.clone(), port.clone(), example(signature));
                problems.at(stage.name.place, WiringProblem::MissingInput { stage: name, port, example });
            }
        }
        let found: Vec<Option<Origin>> = stage.inputs.iter().map(|wire| self.find(wire, problems)).collect();
        if problems.len() > before {
            return None;
        }
        let of_port = |wire: &Option<&Wire>| {
            let wire = (*wire)?;
            found[stage.inputs.iter().position(|other| std::ptr::eq(other, wire))?]
        };
        ports.iter().map(of_port).collect()
    }
}

fn of_stage(stage: usize, name: &str, port: Option<&str>, signature: &Signature) -> Result<Origin, WiringProblem> {
    let streams: Vec<String> = match &signature.outputs[..] {
        [_] => vec![name.to_owned()],
        ports => ports.iter().map(|port| format!("{name}.{port}")).collect(),
    };
    let names = || streams.iter().map(String::as_str);
    match (port, &signature.outputs[..]) {
        (None, [_]) => Ok(Origin::Stage { stage, port: 0 }),
        (None, _) => Err(WiringProblem::WhichOutput { stage: name.to_owned(), outputs: either(names()) }),
        (Some(port), ports) => match ports.iter().position(|known| known == port) {
            Some(at) if ports.len() > 1 => Ok(Origin::Stage { stage, port: at }),
            _ => {
                let (stage, port) = (name.to_owned(), port.to_owned());
                Err(WiringProblem::UnknownOutput { stage, port, outputs: list(names()) })
            }
        },
    }
}

/// The input port that a wire is for.
fn port_of(wire: &Wire, stage: &StageDecl, signature: &Signature) -> Result<usize, WiringProblem> {
    let name = || stage.name.text.clone();
    match (&wire.port, &signature.inputs[..]) {
        (_, []) => Err(WiringProblem::NoInputs { stage: name() }),
        (None, [_]) => Ok(0),
        (None, _) => Err(WiringProblem::WhichInput { stage: name(), example: example(signature) }),
        (Some(port), ports) => ports.iter().position(|known| known == port).ok_or_else(|| {
            let help = suggest(port, ports.iter().map(String::as_str));
            WiringProblem::UnknownInput { stage: name(), port: port.clone(), help }
        }),
    }
}

/// How `in` may look.
fn example(signature: &Signature) -> String {
    match &signature.inputs[..] {
        [_] => "\"...\"".to_owned(),
        ports => ports.iter().map(|port| format!("{port}=\"...\"")).collect::<Vec<_>>().join(" "),
    }
}

/// Topological order, ties by the order of the text. Cycles are problems.
fn order(stages: &[StageDecl], names: &Names<'_>, problems: &mut Problems) -> Vec<usize> {
    let reads = |stage: &StageDecl| stage.inputs.iter().filter_map(|wire| names.stage_of(wire)).collect();
    let above: Vec<Vec<usize>> = stages.iter().map(reads).collect();
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); stages.len()];
    let mut waits: Vec<usize> = above.iter().map(Vec::len).collect();
    for (stage, above) in above.iter().enumerate() {
        above.iter().for_each(|&producer| below[producer].push(stage));
    }
    let mut ready: BinaryHeap<_> = (0..stages.len()).filter(|&stage| waits[stage] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(stages.len());
    while let Some(Reverse(stage)) = ready.pop() {
        order.push(stage);
        for &reader in &below[stage] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    if order.len() < stages.len() {
        report_cycles(stages, &above, &waits, problems);
    }
    order
}

/// Every stage that still waits reads from one that does; walking up leads into a cycle.
fn report_cycles(stages: &[StageDecl], above: &[Vec<usize>], waits: &[usize], problems: &mut Problems) {
    let mut walk_of = vec![usize::MAX; stages.len()];
    for start in (0..stages.len()).filter(|&stage| waits[stage] > 0) {
        let (mut at, mut walk) = (start, Vec::new());
        while walk_of[at] == usize::MAX {
            walk_of[at] = start;
            walk.push(at);
            match above[at].iter().copied().find(|&producer| waits[producer] > 0) {
                Some(producer) => at = producer,
                None => break,
            }
        }
        if walk_of[at] == start
            && let Some(from) = walk.iter().position(|&stage| stage == at)
        {
            report_cycle(stages, &walk[from..], problems);
        }
    }
}

/// `walk` goes against the flow; people read with it, from the first in the text.
fn report_cycle(stages: &[StageDecl], walk: &[usize], problems: &mut Problems) {
    let mut flow: Vec<usize> = walk.iter().rev().copied().collect();
    let first = flow.iter().enumerate().min_by_key(|(_, stage)| **stage).map_or(0, |(at, _)| at);
    flow.rotate_left(first);
    let names = flow.iter().chain(&flow[..1]).map(|&stage| stages[stage].name.text.as_str());
    let path = names.collect::<Vec<_>>().join(" -> ");
    let (stage, last) = (&stages[flow[0]], flow[flow.len() - 1]);
    let is_last = |stream: &str| {
        let port = stream.strip_prefix(stages[last].name.text.as_str());
        port.is_some_and(|port| port.is_empty() || port.starts_with('.'))
    };
    let from_last = |wire: &&Wire| wire.stream.as_deref().is_some_and(is_last);
    let place = stage.inputs.iter().find(from_last).map_or(stage.name.place, |wire| wire.place);
    problems.at(place, WiringProblem::Cycle { path });
}
