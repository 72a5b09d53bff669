//! KDL text to a canonical, content-hashed plan: a function of values. No files, no processes, no runtimes.
//!
//! The way from text to plan, each step a type: [`Texts`] -> `Document` (includes, loops and parameters resolved) ->
//! `Pipeline` (declarations) -> `Resolved` (names and order) -> `Descriptions` (what stages make of their inputs) ->
//! [`plan::Plan`]. What the planner has to know of the world it asks through [`catalogue::Catalogue`]. A plan's stages
//! are put into units by [`units`], and printed and drawn by [`render`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod assemble;
pub mod catalogue;
mod config;
mod describe;
mod diagnostic;
pub mod digest_form;
mod event_time;
mod expand;
mod grade;
mod instant;
pub mod key;
pub mod lock;
mod lock_changes;
mod marks;
pub mod pattern;
mod place;
pub mod plan;
pub mod quantity;
mod read;
mod reference;
mod rejects;
pub mod render;
mod schema_file;
mod secret;
mod serialization;
mod statement;
mod syntax;
mod targets;
mod text;
mod units;
pub mod visible;
mod wiring;

pub use diagnostic::{
    ConfigProblem, Diagnostic, ExpansionProblem, Kind, PlaceProblem, ShapeProblem, StageProblem, SyntaxProblem,
    WindowProblem, WiringProblem, nearest, suggest,
};
pub use expand::Settings;
pub use lock::{Lock, LockError};
pub use lock_changes::LockChange;
pub use rejects::rejects_schema;
pub use statement::statement_path;
pub use targets::may_feed;
pub use text::{IncludeRequest, Texts};
pub use units::{Boundary, Branch, Unit, stored_edges, units};

use catalogue::Catalogue;
use describe::Descriptions;
use diagnostic::Problems;
use expand::Document;
use plan::Plan;
use read::Pipeline;
use wiring::Resolved;

/// A value, if there could be one, and everything that is wrong.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// Present when there are no problems.
    pub value: Option<T>,
    /// In the order of the texts.
    pub problems: Vec<Diagnostic>,
}

/// Plans a pipeline. All mistakes are found in one go, but for those that only follow from others: what depends on
/// something wrong is passed over in silence.
pub fn plan(texts: &Texts, settings: &Settings, catalogue: &mut dyn Catalogue) -> Outcome<Plan> {
    let mut problems = Problems::default();
    let value = attempt(texts, settings, catalogue, &mut problems).filter(|_| problems.is_empty());
    Outcome { value, problems: problems.into_diagnostics(texts.sources()) }
}

/// Where the text says which files a source reads, as `flow.kdl:2`: for what is wrong with these files.
pub fn source_place(texts: &Texts, settings: &Settings, source: &str) -> Option<String> {
    let mut problems = Problems::default();
    let document = Document::new(texts, settings, &mut problems);
    let sources = Pipeline::new(document, &mut problems).sources;
    let declared = sources.iter().find(|declared| declared.name.text == source)?;
    Some(texts.line(*declared.places.first()?))
}

fn attempt(texts: &Texts, settings: &Settings, catalogue: &mut dyn Catalogue, problems: &mut Problems) -> Option<Plan> {
    texts.syntax_problems(problems);
    let pipeline = Pipeline::new(Document::new(texts, settings, problems), problems);
    let resolved = Resolved::new(pipeline, texts, catalogue, problems);
    let descriptions = Descriptions::new(&resolved, texts, catalogue, problems);
    serialization::check(&resolved, &descriptions, settings, problems);
    reference::check(&resolved, &descriptions, problems);
    targets::check(texts, &resolved, &descriptions, problems);
    if !problems.is_empty() {
        return None;
    }
    assemble::plan(texts.pipeline(), &resolved, &descriptions)
}
