//! The plan as a drawing: the boxes and arrows that all formats share, and the two textual formats.

use std::fmt::Write as _;

use super::{svg, words};
use crate::plan::{Plan, Producer};
use crate::units::units;

/// A format of drawings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For Markdown.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// A picture by itself.
    Svg,
}

/// Draws a plan.
pub fn graph(plan: &Plan, format: Format) -> String {
    let drawing = Drawing::new(plan);
    match format {
        Format::Mermaid => mermaid(&drawing),
        Format::Dot => dot(&drawing),
        Format::Svg => svg::svg(&drawing),
    }
}

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
    fn label(&self) -> String {
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
    fn new(plan: &Plan) -> Self {
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

fn mermaid(drawing: &Drawing) -> String {
    let mut text = String::from("flowchart LR\n");
    let node = |i: usize| {
        let Box { shape, title, detail } = &drawing.boxes[i];
        let label = format!("\"{}<br/>{}\"", mermaid_escaped(title), mermaid_escaped(detail));
        match shape {
            Shape::Source => format!("n{i}[({label})]"),
            Shape::Stage => format!("n{i}[{label}]"),
            Shape::Sink => format!("n{i}([{label}])"),
        }
    };
    for i in (0..drawing.boxes.len()).filter(|&i| drawing.boxes[i].shape != Shape::Stage) {
        push(&mut text, format_args!("    {}\n", node(i)));
    }
    for (number, frame) in drawing.frames.iter().enumerate() {
        push(&mut text, format_args!("    subgraph unit{0}[\"unit {0}\"]\n", number + 1));
        frame.iter().for_each(|&i| push(&mut text, format_args!("        {}\n", node(i))));
        text.push_str("    end\n");
    }
    for arrow in &drawing.arrows {
        let label = mermaid_escaped(&arrow.label());
        let label = if label.is_empty() { label } else { format!("|\"{label}\"|") };
        push(&mut text, format_args!("    n{} -->{label} n{}\n", arrow.from, arrow.to));
    }
    text
}

fn mermaid_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', " ")
}

fn dot(drawing: &Drawing) -> String {
    let mut text = String::from("digraph pipeline {\n    rankdir=LR;\n    node [fontname=\"sans-serif\"];\n");
    let node = |i: usize| {
        let Box { shape, title, detail } = &drawing.boxes[i];
        let shape = match shape {
            Shape::Source => "cylinder",
            Shape::Stage => "box",
            Shape::Sink => "note",
        };
        format!("n{i} [shape={shape}, label=\"{}\\n{}\"];", dot_escaped(title), dot_escaped(detail))
    };
    for i in (0..drawing.boxes.len()).filter(|&i| drawing.boxes[i].shape != Shape::Stage) {
        push(&mut text, format_args!("    {}\n", node(i)));
    }
    for (number, frame) in drawing.frames.iter().enumerate() {
        push(&mut text, format_args!("    subgraph cluster_{0} {{\n        label=\"unit {0}\";\n", number + 1));
        frame.iter().for_each(|&i| push(&mut text, format_args!("        {}\n", node(i))));
        text.push_str("    }\n");
    }
    for arrow in &drawing.arrows {
        let label = dot_escaped(&arrow.label());
        let label = if label.is_empty() { label } else { format!(" [label=\"{label}\"]") };
        push(&mut text, format_args!("    n{} -> n{}{label};\n", arrow.from, arrow.to));
    }
    text.push_str("}\n");
    text
}

fn dot_escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}

/// Writing to a string does not fail.
pub(super) fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}
