//! The last step: everything resolved and described becomes the plan.

use std::collections::{BTreeMap, HashMap};

use crate::describe::{Described, Descriptions};
use crate::grade::graded;
use crate::key::{KeyHasher, StageDigest};
use crate::marks::{Marked, with_marks};
use crate::plan::{
    Class, Code, Input, KeyGroups, Limits, Marks, NUMBERS, Output, OutputColumn, PLAN_VERSION, Plan, Producer, Purity,
    RowPosition, Rows, Sink, Source, Stage, Stream, StreamId, is_of_device,
};
use crate::wiring::{Origin, Resolved};

/// The plan of a pipeline without problems. None where something is missing after all.
pub(crate) fn plan(pipeline: String, resolved: &Resolved, descriptions: &Descriptions) -> Option<Plan> {
    let mut streams = Streams { marked: Marked::of(resolved, descriptions), ..Streams::default() };
    streams.add_sources(resolved, descriptions)?;
    let planned = planned_stages(resolved, &streams.marked);
    streams.add_stages(&planned, resolved, descriptions)?;
    let stages = planned.iter().map(|of| match *of {
        PlannedStage::Late { stage, input } => late_stage(stage, input, resolved, descriptions, &streams),
        PlannedStage::Marks(origin) => marking_stage(origin, descriptions, &streams),
        PlannedStage::Declared(i) => stage(i, descriptions.stages.get(&i)?, resolved, &streams),
    });
    let stages = stages.collect::<Option<Vec<Stage>>>()?;
    let sources = (0..resolved.pipeline.sources.len())
        .map(|i| source(i, resolved, descriptions, &streams))
        .collect::<Option<_>>()?;
    let sinks = (0..resolved.pipeline.sinks.len()).map(|i| sink(i, resolved, &streams)).collect::<Option<_>>()?;
    Some(Plan { version: PLAN_VERSION, pipeline, sources, stages, sinks, streams: streams.list })
}

/// A stage of the plan.
#[derive(Clone, Copy)]
enum PlannedStage {
    /// One of the text, by its number.
    Declared(usize),
    /// That which picks the late rows of an input.
    Late { stage: usize, input: usize },
    /// That which says of rows how they are in their source.
    Marks(Origin),
}

/// The declared stages in their order, each with those that pick its late rows, where something reads them, and those that say how
/// rows are in their source.
fn planned_stages(resolved: &Resolved, marked: &Marked) -> Vec<PlannedStage> {
    let sources = marked.unmarked.iter().filter(|origin| matches!(origin, Origin::Source(_)));
    let sources = sources.map(|origin| PlannedStage::Marks(*origin));
    let of_stage = |&stage: &usize| {
        let inputs = 0..resolved.inputs[stage].as_ref().map_or(0, Vec::len);
        let read = inputs.filter(move |&input| resolved.is_read(Origin::Late { stage, input }));
        let late = read.map(move |input| PlannedStage::Late { stage, input });
        let is_own = move |origin: &&Origin| matches!(origin, Origin::Stage { stage: of, .. } if *of == stage);
        let marks = marked.unmarked.iter().filter(is_own).map(|origin| PlannedStage::Marks(*origin));
        std::iter::once(PlannedStage::Declared(stage)).chain(late).chain(marks)
    };
    sources.chain(resolved.order.iter().flat_map(of_stage)).collect()
}

#[derive(Default)]
struct Streams {
    list: Vec<Stream>,
    ids: HashMap<Origin, StreamId>,
    marked: Marked,
}

impl Streams {
    fn add(&mut self, origin: Origin, name: String, producer: Producer, known: &Descriptions) -> Option<()> {
        let schema = known.schemas.get(&origin)?.clone();
        let schema = if self.marked.streams.contains(&origin) { with_marks(&schema) } else { schema };
        self.push(origin, Stream { name, schema, producer });
        Some(())
    }

    fn push(&mut self, origin: Origin, stream: Stream) {
        self.ids.insert(origin, StreamId(self.list.len()));
        self.list.push(stream);
    }

    fn add_sources(&mut self, resolved: &Resolved, known: &Descriptions) -> Option<()> {
        for (source, declared) in resolved.pipeline.sources.iter().enumerate() {
            let name = &declared.name.text;
            self.add(Origin::Source(source), name.clone(), Producer::Source { source }, known)?;
            if declared.rejects {
                let name = format!("{name}.rejects");
                self.add(Origin::Rejects(source), name, Producer::Rejects { source }, known)?;
            }
        }
        Some(())
    }

    fn add_stages(&mut self, planned: &[PlannedStage], resolved: &Resolved, known: &Descriptions) -> Option<()> {
        for (at, of) in planned.iter().enumerate() {
            let stage = match *of {
                PlannedStage::Declared(stage) => stage,
                PlannedStage::Late { stage, input } => {
                    let name = late_name(stage, input, resolved)?;
                    self.add(Origin::Late { stage, input }, name, Producer::Stage { stage: at, port: 0 }, known)?;
                    continue;
                }
                PlannedStage::Marks(origin) => {
                    let (name, schema) = (self.marks_name(origin)?, with_marks(known.schemas.get(&origin)?));
                    self.push(
                        origin.marked(),
                        Stream { name, schema, producer: Producer::Stage { stage: at, port: 0 } },
                    );
                    continue;
                }
            };
            let (declared, signature) = (&resolved.pipeline.stages[stage], resolved.signatures[stage].as_ref()?);
            for (port, port_name) in signature.outputs.iter().enumerate() {
                let name = match signature.outputs.len() {
                    1 => declared.name.text.clone(),
                    _ => format!("{}.{port_name}", declared.name.text),
                };
                self.add(Origin::Stage { stage, port }, name, Producer::Stage { stage: at, port }, known)?;
            }
        }
        Some(())
    }

    fn id(&self, origin: Origin) -> Option<StreamId> {
        self.ids.get(&origin).copied()
    }

    /// The name of the stage that says how rows are in their source, and of its output.
    fn marks_name(&self, origin: Origin) -> Option<String> {
        Some(format!("{}.marks", self.list[self.id(origin)?.0].name))
    }

    /// Where an output has its marks from: the input, with that input's columns of them. None if it has none.
    fn marks_above(&self, output: Origin, rows: Rows, inputs: &[Origin]) -> Option<(usize, StreamId, Marks)> {
        let input = rows.input().filter(|_| self.marked.streams.contains(&output))?;
        let above = inputs[input];
        let above = if self.marked.streams.contains(&above) { above } else { above.marked() };
        let stream = self.id(above)?;
        let width = self.list[stream.0].schema.fields().len();
        Some((input, stream, Marks::behind(width - 2)))
    }
}

fn source(i: usize, resolved: &Resolved, known: &Descriptions, streams: &Streams) -> Option<Source> {
    let declared = &resolved.pipeline.sources[i];
    let mut spec = declared.spec.clone()?;
    if let Some(told) = known.record_schemas.get(&i) {
        spec.format = spec.format.with_record_schema(told);
    }
    Some(Source {
        name: declared.name.text.clone(),
        spec,
        stream: streams.id(Origin::Source(i))?,
        rejects: streams.id(Origin::Rejects(i)),
        event_time: known.event_time(i),
    })
}

fn stage(i: usize, described: &Described, resolved: &Resolved, streams: &Streams) -> Option<Stage> {
    let (declared, signature) = (&resolved.pipeline.stages[i], resolved.signatures[i].as_ref()?);
    let origins = resolved.inputs[i].as_ref()?;
    let inputs =
        described.description.inputs.iter().zip(origins).zip(&signature.inputs).zip(&described.windows).enumerate();
    let outputs = described.description.outputs.iter().enumerate();
    let marks =
        outputs.map(|(port, output)| streams.marks_above(Origin::Stage { stage: i, port }, output.rows, origins));
    let marks: Vec<_> = marks.collect();
    let inputs = inputs.map(|(at, (((input, origin), port), window))| {
        let marked = marks.iter().flatten().find(|(input, ..)| *input == at).map(|(_, stream, _)| *stream);
        let stream = marked.or_else(|| streams.id(*origin))?;
        // All rows of a window are one invocation, whatever their keys.
        let key = (!input.keys.is_empty() && window.is_none()).then(|| KeyGroups::new(input.keys.clone()));
        let (port, reads, window) = (port.clone(), input.reads.clone(), window.clone());
        let because = described.description.explanation.classes.get(at).filter(|because| !because.is_empty()).cloned();
        Some(Input { port, stream, class: input.class, reads, key, window, because })
    });
    let outputs = described.description.outputs.iter().zip(&signature.outputs).enumerate();
    let outputs = outputs.map(|(at, (output, port))| {
        let stream = streams.id(Origin::Stage { stage: i, port: at })?;
        let mut columns = output.columns.clone();
        let hidden = marks[at].iter().flat_map(|(.., marks)| marks.columns());
        columns.extend(hidden.map(|column| OutputColumn::Passed { column }));
        Some(Output { port: port.clone(), stream, rows: output.rows, columns })
    });
    let code = declared.code.as_ref()?.0.clone();
    let (purity, mut runner) = graded(signature, &code, &declared.limits);
    runner.extend(described.description.runner.clone());
    // What is proven needs no claim.
    let claim = declared.numbers.claim.filter(|_| runner.get(NUMBERS).is_some_and(|numbers| is_of_device(numbers)));
    runner.extend(claim.map(|claim| (NUMBERS.to_owned(), claim.to_string())));
    Some(Stage {
        name: declared.name.text.clone(),
        code,
        digest: signature.digest,
        config: described.config.clone(),
        runner,
        chains: signature.chains,
        purity,
        inputs: inputs.collect::<Option<_>>()?,
        outputs: outputs.collect::<Option<_>>()?,
        partial: described.description.partial.clone(),
        parts: described.description.parts,
        limits: declared.limits.clone(),
        secrets: declared.secrets.clone(),
        asserts: declared.asserts,
        claim,
        reference: declared.numbers.reference.as_ref().map(|(name, _)| name.clone()),
    })
}

/// The name of the late rows of an input, and of the stage that picks them.
fn late_name(stage: usize, input: usize, resolved: &Resolved) -> Option<String> {
    let name = &resolved.pipeline.stages[stage].name.text;
    let windows = resolved.windows(stage).iter().flatten().count();
    let port = &resolved.signatures[stage].as_ref()?.inputs[input];
    Some(if windows == 1 { format!("{name}.late") } else { format!("{name}.late-{port}") })
}

/// The stage that picks the rows of an input that came too late for a window.
fn late_stage(
    stage: usize,
    input: usize,
    resolved: &Resolved,
    known: &Descriptions,
    streams: &Streams,
) -> Option<Stage> {
    let origin = resolved.inputs[stage].as_ref()?[input];
    let window = known.stages.get(&stage)?.windows[input].clone()?;
    let width = known.schemas.get(&origin)?.fields().len();
    let passed = (0..width).map(|column| OutputColumn::Passed { column });
    let written = known.schemas.get(&Origin::Late { stage, input })?.fields().len() - width;
    let time = window.time?;
    let mut reads = vec![time.column];
    if let RowPosition::Offset(column) = time.position {
        reads.push(column);
    }
    reads.extend(time.marks.iter().flat_map(Marks::columns));
    reads.sort_unstable();
    reads.dedup();
    Some(Stage {
        config: serde_json::to_value(&window).ok()?,
        ..own_stage(
            late_name(stage, input, resolved)?,
            Code::LateRows,
            "flowc late rows 1",
            (streams.id(origin)?, reads),
            Output {
                port: "rows".to_owned(),
                stream: streams.id(Origin::Late { stage, input })?,
                rows: Rows::Subset { input: 0 },
                columns: passed.chain(vec![OutputColumn::Written; written]).collect(),
            },
        )
    })
}

/// The stage that says of the rows of a source how they are in it.
fn marking_stage(origin: Origin, known: &Descriptions, streams: &Streams) -> Option<Stage> {
    let width = known.schemas.get(&origin)?.fields().len();
    let passed = (0..width).map(|column| OutputColumn::Passed { column });
    let input = (streams.id(origin)?, vec![known.time(origin)?.column]);
    let output = Output {
        port: "rows".to_owned(),
        stream: streams.id(origin.marked())?,
        rows: Rows::Same { input: 0 },
        columns: passed.chain([OutputColumn::Written; 2]).collect(),
    };
    Some(own_stage(streams.marks_name(origin)?, Code::Marks, "flowc marks 1", input, output))
}

/// A stage that is a part of flowc, and takes the segments of a stream one by one.
fn own_stage(
    name: String,
    code: Code,
    domain: &'static str,
    (stream, reads): (StreamId, Vec<usize>),
    output: Output,
) -> Stage {
    Stage {
        name,
        code,
        digest: StageDigest::new(KeyHasher::new(domain).finish()),
        config: serde_json::Value::Null,
        runner: BTreeMap::new(),
        chains: false,
        purity: Purity::Proven,
        inputs: vec![Input {
            port: "rows".to_owned(),
            stream,
            class: Class::PerSegment,
            reads,
            key: None,
            window: None,
            because: None,
        }],
        outputs: vec![output],
        partial: None,
        parts: 1,
        limits: Limits::default(),
        secrets: BTreeMap::new(),
        asserts: None,
        claim: None,
        reference: None,
    }
}

fn sink(i: usize, resolved: &Resolved, streams: &Streams) -> Option<Sink> {
    let declared = &resolved.pipeline.sinks[i];
    Some(Sink {
        name: declared.name.text.clone(),
        stream: streams.id(resolved.sinks[i]?)?,
        spec: declared.spec.clone()?,
    })
}
