//! The plan as a drawing: its formats, and the printer of those that are text and are laid out by who reads them.

use super::drawing::{Arrow, Box, Drawing, Shape};
use super::{push, svg};
use crate::plan::Plan;

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
        Format::Mermaid => text(&drawing, &MERMAID),
        Format::Dot => text(&drawing, &DOT),
        Format::Svg => svg::svg(&drawing),
    }
}

/// How a language writes the parts of a drawing, a line each. Boxes and frames have numbers.
struct Language {
    first: &'static str,
    last: &'static str,
    node: fn(usize, &Box) -> String,
    frame: fn(usize) -> String,
    frame_end: &'static str,
    arrow: fn(&Arrow) -> String,
}

const MERMAID: Language = Language {
    first: "flowchart LR\n",
    last: "",
    node: |number, Box { shape, title, detail }| {
        let label = format!("\"{}<br/>{}\"", mermaid_escaped(title), mermaid_escaped(detail));
        match shape {
            Shape::Source => format!("n{number}[({label})]"),
            Shape::Stage => format!("n{number}[{label}]"),
            Shape::Sink => format!("n{number}([{label}])"),
        }
    },
    frame: |number| format!("subgraph unit{number}[\"unit {number}\"]"),
    frame_end: "end",
    arrow: |arrow| {
        let label = mermaid_escaped(&arrow.label());
        let label = if label.is_empty() { label } else { format!("|\"{label}\"|") };
        format!("n{} -->{label} n{}", arrow.from, arrow.to)
    },
};

const DOT: Language = Language {
    first: "digraph pipeline {\n    rankdir=LR;\n    node [fontname=\"sans-serif\"];\n",
    last: "}\n",
    node: |number, Box { shape, title, detail }| {
        let shape = match shape {
            Shape::Source => "cylinder",
            Shape::Stage => "box",
            Shape::Sink => "note",
        };
        format!("n{number} [shape={shape}, label=\"{}\\n{}\"];", dot_escaped(title), dot_escaped(detail))
    },
    frame: |number| format!("subgraph cluster_{number} {{\n        label=\"unit {number}\";"),
    frame_end: "}",
    arrow: |arrow| {
        let label = dot_escaped(&arrow.label());
        let label = if label.is_empty() { label } else { format!(" [label=\"{label}\"]") };
        format!("n{} -> n{}{label};", arrow.from, arrow.to)
    },
};

fn text(drawing: &Drawing, language: &Language) -> String {
    let mut text = language.first.to_owned();
    let node = |number: usize| (language.node)(number, &drawing.boxes[number]);
    for number in (0..drawing.boxes.len()).filter(|&number| drawing.boxes[number].shape != Shape::Stage) {
        push(&mut text, format_args!("    {}\n", node(number)));
    }
    for (number, frame) in (1..).zip(&drawing.frames) {
        push(&mut text, format_args!("    {}\n", (language.frame)(number)));
        frame.iter().for_each(|&number| push(&mut text, format_args!("        {}\n", node(number))));
        push(&mut text, format_args!("    {}\n", language.frame_end));
    }
    drawing.arrows.iter().for_each(|arrow| push(&mut text, format_args!("    {}\n", (language.arrow)(arrow))));
    text + language.last
}

fn mermaid_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;").replace('\n', " ")
}

fn dot_escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}
