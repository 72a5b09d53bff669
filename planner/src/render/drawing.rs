//! What a drawing of a plan shows: boxes, arrows between them, and frames. Every format prints this.

use super::words;
use crate::plan::{Plan, Producer};
use crate::units::units;

/// What kind of thing a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Source,
    Stage,
    Sink,
}

#[derive(Debug)]
pub(super) struct Box {
    pub(super) shape: Shape,
    pub(super) title: String,
    pub(super) detail: String,
}

#[derive(Debug)]
pub(super) struct Arrow {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The output port, where there are several.
    pub(super) out: String,
    /// The input port, where there are several.
    pub(super) into: String,
}

impl Arrow {
    /// Both ports as one text.
    pub(super) fn label(&self) -> String {
        let ports = [&self.out, &self.into].into_iter().filter(|port| !port.is_empty());
        ports.map(String::as_str).collect::<Vec<_>>().join(" to ")
    }
}

/// Boxes, arrows between them, and frames around those of one unit.
#[derive(Debug)]
pub(super) struct Drawing {
    pub(super) boxes: Vec<Box>,
    pub(super) arrows: Vec<Arrow>,
    /// Indices of boxes, in order.
    pub(super) frames: Vec<Vec<usize>>,
}

impl Drawing {
    pub(super) fn new(plan: &Plan) -> Self {
        let (stages, sinks) = (plan.sources.len(), plan.sources.len() + plan.stages.len());
        let sources = plan.sources.iter().map(|source| Box {
            shape: Shape::Source,
            title: source.name.clone(),
            detail: words::location(&source.spec.location),
        });
        let middle = plan.stages.iter().map(|stage| Box {
            shape: Shape::Stage,
            title: stage.name.clone(),
            detail: stage.code.to_string(),
        });
        let ends = plan.sinks.iter().map(|sink| Box {
            shape: Shape::Sink,
            title: sink.name.clone(),
            detail: words::target(&sink.spec.target),
        });
        let boxes = sources.chain(middle).chain(ends).collect();
        let frames =
            units(plan).into_iter().map(|unit| unit.stages.into_iter().map(|s| s + stages).collect()).collect();
        let reads = plan.stages.iter().enumerate().flat_map(|(at, stage)| {
            stage.inputs.iter().map(move |input| {
                let port = if stage.inputs.len() > 1 { input.port.as_str() } else { "" };
                arrow(plan, input.stream, stages + at, port)
            })
        });
        let writes = plan.sinks.iter().enumerate().map(|(at, sink)| arrow(plan, sink.stream, sinks + at, ""));
        let arrows = reads.chain(writes).collect();
        Self { boxes, arrows, frames }
    }
}

fn arrow(plan: &Plan, stream: crate::plan::StreamId, to: usize, into: &str) -> Arrow {
    let (from, out) = match plan.stream(stream).producer {
        Producer::Source { source } => (source, ""),
        Producer::Rejects { source } => (source, "rejects"),
        Producer::Stage { stage, port } => {
            let outputs = &plan.stages[stage].outputs;
            (plan.sources.len() + stage, if outputs.len() > 1 { outputs[port].port.as_str() } else { "" })
        }
    };
    Arrow { from, to, out: out.to_owned(), into: into.to_owned() }
}
