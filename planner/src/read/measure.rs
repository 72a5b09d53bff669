//! Durations and sizes, which the text gives in quotes, with their units.

use super::form;
use crate::diagnostic::Problems;
use crate::quantity;
use crate::syntax::{Arg, Value};

/// Something that is measured in units.
pub(super) struct Measure {
    /// What is said of a value of another type.
    pub(super) expected: &'static str,
    /// What is said of a text that is none.
    pub(super) what: &'static str,
    /// The unit that a plain number probably has.
    pub(super) unit: &'static str,
    /// How it is written.
    pub(super) help: &'static str,
    /// Reads it.
    pub(super) parse: fn(&str) -> Option<u64>,
}

/// Milliseconds.
pub(super) const DURATION: Measure = Measure {
    expected: "a duration in quotes",
    what: "duration",
    unit: "s",
    help: "a number and one of ms, s, m, h: \"500ms\", \"5s\"",
    parse: quantity::milliseconds,
};

/// Bytes.
pub(super) const SIZE: Measure = Measure {
    expected: "a size in quotes",
    what: "size",
    unit: "MiB",
    help: "a number and one of KiB, MiB, GiB, KB, MB, GB: \"256MiB\"",
    parse: quantity::bytes,
};

impl Measure {
    /// Reads the value of what is called `of`, or tells what is wrong with it.
    pub(super) fn read(&self, of: &str, arg: &Arg, problems: &mut Problems) -> Option<u64> {
        let Some(text) = arg.value.as_str() else {
            let help = match &arg.value {
                Value::Integer(_) | Value::Float(_) => format!("with its unit: \"{}{}\"", arg.value, self.unit),
                _ => self.help.to_owned(),
            };
            form::wrong_type(of, self.expected, arg, Some(help), problems);
            return None;
        };
        let read = (self.parse)(text);
        if read.is_none() {
            form::bad_value(self.what, arg, self.help, problems);
        }
        read
    }
}
