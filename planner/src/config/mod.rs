//! A stage's `config` block as typed JSON. The stage's JSON Schema decides what is a scalar, a list or an object.
//!
//! The schema is of the form that `schemars` writes (draft 2020-12). One deliberate difference from JSON Schema: a key
//! that the schema does not name is an error unless `additionalProperties` allows it, so that typing mistakes are found.

mod block;
mod fault;
mod given;
mod schema;
mod typer;

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::diagnostic::{ConfigProblem, Problems};
use crate::place::Place;
use crate::syntax::Node;
use fault::Fault;
use given::Given;
use typer::Typer;

/// A typed config, and where in the text its parts are.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) value: Json,
    places: HashMap<String, Place>,
    root: Place,
    /// Places of texts that are none of those that may stand there. Others stand in `value` for them, so that the stage can say
    /// what else is wrong.
    assumed: Vec<Place>,
}

impl Config {
    /// Types a config. `node` is the `config` node; `stage` is the place to blame where there is none.
    /// None when something is wrong with it, other than texts of which the schema lists all that may be.
    pub(crate) fn new(node: Option<&Node>, stage: Place, schema: &Json, problems: &mut Problems) -> Option<Self> {
        let root = node.map_or(stage, |node| node.place);
        let absent = Node { name: "config".into(), place: root, args: vec![], props: vec![], children: None };
        let mut typer = Typer::new(schema);
        match typer.value(&Given::Nodes(vec![node.unwrap_or(&absent)]), schema, "") {
            _ if typer.is_exhausted() => problems.at(root, ConfigProblem::TooInvolved),
            Ok(_) if typer.has_unknown() => {}
            Ok(value) => return Some(Self { value, places: typer.into_places(), root, assumed: Vec::new() }),
            Err(faults) => {
                let assumed = assumed(&faults);
                faults.into_iter().for_each(|fault| problems.at(fault.place, fault.problem));
                return Self::assuming(node?, schema, assumed?);
            }
        }
        None
    }

    fn assuming(node: &Node, schema: &Json, choices: HashMap<Place, Vec<String>>) -> Option<Self> {
        let assumed = choices.keys().copied().collect();
        let mut typer = Typer::assuming(schema, choices);
        let value = typer.value(&Given::Nodes(vec![node]), schema, "").ok().filter(|_| !typer.has_unknown())?;
        Some(Self { value, places: typer.into_places(), root: node.place, assumed })
    }

    /// Whether it is what the text says. Else what a stage makes of it is not to be relied on.
    pub(crate) fn is_as_given(&self) -> bool {
        self.assumed.is_empty()
    }

    /// Whether what a stage says of a part holds: the part is in the text, and is what the text says.
    pub(crate) fn is_given(&self, pointer: &str) -> bool {
        self.is_as_given() || self.places.get(pointer).is_some_and(|place| !self.assumed.contains(place))
    }

    /// The place of a JSON pointer, or of the nearest part above it that is in the text.
    pub(crate) fn place(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return *place;
            }
            match pointer.rsplit_once('/') {
                Some((above, _)) => pointer = above,
                None => return self.root,
            }
        }
    }
}

/// Where all that is wrong is texts that are none of those that may be: their places, with what may be there.
fn assumed(faults: &[Fault]) -> Option<HashMap<Place, Vec<String>>> {
    let choices = |fault: &Fault| match fault.problem {
        ConfigProblem::NotOneOf { .. } => Some((fault.place, fault.choices.clone())),
        _ => None,
    };
    faults.iter().map(choices).collect()
}
