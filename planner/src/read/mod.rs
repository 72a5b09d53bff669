//! A document's nodes as declarations: sources, stages and sinks, each checked by itself.

mod code;
mod database;
mod delta;
mod flight;
pub(crate) mod form;
mod format;
mod kafka;
mod kafka_sink;
mod keep;
mod kernel;
mod measure;
mod numbers;
mod objects;
mod query;
mod records;
mod schema;
mod secret;
mod sink;
mod source;
mod stage;
mod types;
mod window;

use std::collections::HashMap;

use crate::diagnostic::{Problems, WiringProblem};
use crate::expand::Document;
use crate::place::Place;
use crate::syntax::Node;

pub(crate) use sink::SinkDecl;
pub(crate) use source::SourceDecl;
pub(crate) use stage::{StageDecl, Wire};
pub(crate) use window::{EventTimeDecl, WindowDecl};

/// A name with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// All declarations, each in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    pub(crate) sources: Vec<SourceDecl>,
    pub(crate) stages: Vec<StageDecl>,
    pub(crate) sinks: Vec<SinkDecl>,
    /// Whether every text was there. Else a name that is not known may be one of what is missing.
    pub(crate) is_whole: bool,
}

impl Pipeline {
    pub(crate) fn new(document: Document, problems: &mut Problems) -> Self {
        let mut pipeline = Self { is_whole: document.is_whole, ..Self::default() };
        let (mut streams, mut sinks) = (HashMap::new(), HashMap::new());
        for node in document.nodes {
            match node.name.as_str() {
                "source" => pipeline.sources.extend(SourceDecl::read(&node, &mut streams, problems)),
                "stage" => pipeline.stages.extend(StageDecl::read(node, &mut streams, problems)),
                "assert" => pipeline.stages.extend(StageDecl::read_assert(node, &mut streams, problems)),
                "sink" => pipeline.sinks.extend(SinkDecl::read(&node, &mut sinks, problems)),
                _ => {
                    let known = ["source", "stage", "assert", "sink", "param", "include", "foreach"];
                    problems.at(node.place, form::unknown_node(&node, "a pipeline", &known));
                }
            }
        }
        pipeline
    }
}

/// Names that are taken, with the places where they were.
type Taken = HashMap<String, Place>;

/// The name of a declaration. It is none where it has none that can be used, and nothing can refer to it then.
fn name(node: &Node, taken: &mut Taken, problems: &mut Problems) -> Option<Name> {
    let arg = node.args.first()?;
    let text = form::string(&node.name, arg, problems)?.to_owned();
    let good = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || !text.chars().all(good) {
        problems.at(arg.place, WiringProblem::BadName { name: text });
        return None;
    }
    match taken.get(&text) {
        Some(&first) => {
            let problem = WiringProblem::RepeatedName { name: text };
            problems.with(arg.place, problem, first, "first used here");
            None
        }
        None => {
            taken.insert(text.clone(), arg.place);
            Some(Name { text, place: arg.place })
        }
    }
}
