//! `ttl "1h"` and `pin "2024-05-01"`: how long stands what was read from a server or a database.

use crate::diagnostic::{Problems, ShapeProblem};
use crate::plan::Keep;
use crate::read::form;
use crate::read::measure::{DURATION, Measure};
use crate::syntax::Node;

/// Reads them, where they are children of a node.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Keep {
    let (ttl, pin) = (node.child("ttl"), node.child("pin"));
    if let (Some(ttl), Some(pin)) = (ttl, pin) {
        let why = "either a time says how long what was read stands, or a text";
        let problem = ShapeProblem::Together { first: "ttl", second: "pin", why };
        problems.with(pin.place, problem, ttl.place, "the time is here");
    }
    let read = form::only_arg(node, "ttl", "ttl \"1h\"", problems);
    let ttl_ms = read.and_then(|arg| Measure { unit: "m", ..DURATION }.read("ttl", arg, problems));
    let label = form::child_string(node, "pin", "pin \"2024-05-01\"", problems);
    match (ttl_ms, label) {
        (Some(ttl_ms), _) => Keep::For(ttl_ms),
        (None, Some((label, _))) => Keep::Pinned(label.to_owned()),
        (None, None) => Keep::Run,
    }
}
