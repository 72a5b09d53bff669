//! A plan for people: as text, and as a drawing.

mod graph;
mod plan_text;
mod svg;
mod words;

pub use graph::{Format, graph};
pub use plan_text::plan_text;
