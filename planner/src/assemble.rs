//! The last step: everything resolved and described becomes the plan.

use std::collections::HashMap;

use crate::describe::{Described, Descriptions};
use crate::grade::graded;
use crate::plan::{Input, KeyGroups, Output, PLAN_VERSION, Plan, Producer, Sink, Source, Stage, Stream, StreamId};
use crate::wiring::{Origin, Resolved};

/// The plan of a pipeline without problems. None where something is missing after all.
pub(crate) fn plan(pipeline: String, resolved: &Resolved, descriptions: &mut Descriptions) -> Option<Plan> {
    let mut streams = Streams::default();
    streams.add_sources(resolved, descriptions)?;
    streams.add_stages(resolved, descriptions)?;
    let described: Option<Vec<Described>> =
        resolved.order.iter().map(|stage| descriptions.stages.remove(stage)).collect();
    let stages = resolved.order.iter().zip(described?).map(|(&i, described)| stage(i, described, resolved, &streams));
    let stages = stages.collect::<Option<Vec<Stage>>>()?;
    let sources = (0..resolved.pipeline.sources.len()).map(|i| source(i, resolved, &streams)).collect::<Option<_>>()?;
    let sinks = (0..resolved.pipeline.sinks.len()).map(|i| sink(i, resolved, &streams)).collect::<Option<_>>()?;
    Some(Plan { version: PLAN_VERSION, pipeline, sources, stages, sinks, streams: streams.list })
}

#[derive(Default)]
struct Streams {
    list: Vec<Stream>,
    ids: HashMap<Origin, StreamId>,
}

impl Streams {
    fn add(&mut self, origin: Origin, name: String, producer: Producer, known: &Descriptions) -> Option<()> {
        self.ids.insert(origin, StreamId(self.list.len()));
        self.list.push(Stream { name, schema: known.schemas.get(&origin)?.clone(), producer });
        Some(())
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

    fn add_stages(&mut self, resolved: &Resolved, known: &Descriptions) -> Option<()> {
        for (at, &stage) in resolved.order.iter().enumerate() {
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
}

fn source(i: usize, resolved: &Resolved, streams: &Streams) -> Option<Source> {
    let declared = &resolved.pipeline.sources[i];
    Some(Source {
        name: declared.name.text.clone(),
        spec: declared.spec.clone()?,
        stream: streams.id(Origin::Source(i))?,
        rejects: streams.id(Origin::Rejects(i)),
    })
}

fn stage(i: usize, described: Described, resolved: &Resolved, streams: &Streams) -> Option<Stage> {
    let (declared, signature) = (&resolved.pipeline.stages[i], resolved.signatures[i].as_ref()?);
    let origins = resolved.inputs[i].as_ref()?;
    let inputs = described.description.inputs.into_iter().zip(origins).zip(&signature.inputs);
    let inputs = inputs.map(|((input, origin), port)| {
        let stream = streams.id(*origin)?;
        let key = (!input.keys.is_empty()).then(|| KeyGroups::new(input.keys));
        Some(Input { port: port.clone(), stream, class: input.class, reads: input.reads, key })
    });
    let outputs = described.description.outputs.into_iter().zip(&signature.outputs).enumerate();
    let outputs = outputs.map(|(at, (output, port))| {
        let stream = streams.id(Origin::Stage { stage: i, port: at })?;
        Some(Output { port: port.clone(), stream, rows: output.rows, columns: output.columns })
    });
    let code = declared.code.as_ref()?.0.clone();
    let (purity, mut runner) = graded(signature, &code, &declared.limits);
    runner.extend(described.description.runner);
    Some(Stage {
        name: declared.name.text.clone(),
        code,
        digest: signature.digest,
        config: described.config,
        runner,
        chains: signature.chains,
        purity,
        inputs: inputs.collect::<Option<_>>()?,
        outputs: outputs.collect::<Option<_>>()?,
        partial: described.description.partial,
        parts: described.description.parts,
        limits: declared.limits.clone(),
        secrets: declared.secrets.clone(),
    })
}

fn sink(i: usize, resolved: &Resolved, streams: &Streams) -> Option<Sink> {
    let declared = &resolved.pipeline.sinks[i];
    Some(Sink {
        name: declared.name.text.clone(),
        stream: streams.id(resolved.sinks[i]?)?,
        spec: declared.spec.clone()?,
    })
}
