//! A plan for people: as text, and as a drawing.

use std::fmt::Write as _;

mod drawing;
mod graph;
mod layout;
mod plan_text;
mod svg;
mod words;

pub use graph::{Format, graph};
pub use plan_text::plan_text;

/// Writing to a string does not fail.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

/// About how wide a text is in a sans-serif font of a size: an upper bound for most.
fn text_width(text: &str, size: f64) -> f64 {
    // Letters of East Asia are twice as wide as others.
    let ems: f64 = text.chars().map(|c| if c >= '\u{1100}' { 1.05 } else { 0.6 }).sum();
    ems * size
}
