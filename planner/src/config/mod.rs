//! A stage's `config` block as typed JSON. The stage's JSON Schema decides what is a scalar, a list or an object.
//!
//! The schema is of the form that `schemars` writes (draft 2020-12). One deliberate difference from JSON Schema: a key
//! that the schema does not name is an error unless `additionalProperties` allows it, so that typing mistakes are found.

mod fault;
mod given;
mod schema;
mod typer;

use std::collections::HashMap;

use serde_json::Value as Json;

use crate::diagnostic::{ConfigProblem, Problems};
use crate::syntax::Node;
use crate::text::Place;
use given::Given;
use typer::Typer;

/// A typed config, and where in the text its parts are.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) value: Json,
    places: HashMap<String, Place>,
    root: Place,
}

impl Config {
    /// Types a config. `node` is the `config` node; `stage` is the place to blame where there is none.
    /// None when something is wrong with it.
    pub(crate) fn new(node: Option<&Node>, stage: Place, schema: &Json, problems: &mut Problems) -> Option<Self> {
        let root = node.map_or(stage, |node| node.place);
        let absent = Node { name: "config".into(), place: root, args: vec![], props: vec![], children: None };
        let mut typer = Typer::new(schema);
        match typer.value(&Given::Nodes(vec![node.unwrap_or(&absent)]), schema, "") {
            _ if typer.is_exhausted() => problems.at(root, ConfigProblem::TooInvolved),
            Ok(_) if typer.has_unknown() => {}
            Ok(value) => return Some(Self { value, places: typer.into_places(), root }),
            Err(faults) => faults.into_iter().for_each(|fault| problems.at(fault.place, fault.problem)),
        }
        None
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
