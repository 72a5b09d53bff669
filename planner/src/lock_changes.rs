//! What a run pins in the lock that was not pinned so before.

use std::fmt;

use serde::Serialize;

use crate::lock::Lock;
use crate::quantity::count;

/// One entry of the lock that is new or another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LockChange {
    /// The code of stages.
    Component {
        /// As in the text.
        code: String,
        /// Start of the digest that was pinned; none if none was.
        before: Option<String>,
        /// Start of the digest.
        now: String,
    },
    /// The inferred columns of a source.
    Columns {
        /// The name of the source.
        source: String,
        /// Number of inferred columns.
        columns: usize,
        /// Whether the lock pinned other columns before.
        anew: bool,
    },
}

impl LockChange {
    /// The entries of the lock `now` that `before` lacks or has otherwise. Components first.
    pub fn between(before: &Lock, now: &Lock) -> Vec<Self> {
        let components = now.components.iter().filter_map(|(code, digest)| {
            let pinned = before.components.get(code).filter(|pinned| *pinned == digest).is_some();
            let before = before.components.get(code).map(|pinned| pinned.short());
            (!pinned).then(|| LockChange::Component { code: code.clone(), before, now: digest.short() })
        });
        let sources = now.sources.iter().filter_map(|(source, schema)| {
            let pinned = before.sources.get(source);
            let columns = schema.fields().len();
            (pinned != Some(schema)).then(|| LockChange::Columns {
                source: source.clone(),
                columns,
                anew: pinned.is_some(),
            })
        });
        components.chain(sources).collect()
    }

    /// `2 components, 1 source`.
    pub fn summary(pins: &[Self]) -> String {
        let components = pins.iter().filter(|pin| matches!(pin, LockChange::Component { .. })).count();
        let parts = [(components, "component"), (pins.len() - components, "source")];
        let parts = parts.into_iter().filter(|(number, _)| *number > 0).map(|(number, noun)| count(number, noun));
        parts.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for LockChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockChange::Component { code, before: None, now } => write!(f, "pin {code} at {now}"),
            LockChange::Component { code, before: Some(before), now } => {
                write!(f, "pin {code} at {now}, no longer at {before}")
            }
            LockChange::Columns { source, columns, anew: false } => {
                write!(f, "pin {} of source {source}", count(*columns, "column"))
            }
            LockChange::Columns { source, columns, anew: true } => {
                write!(f, "pin {} of source {source} again", count(*columns, "column"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, Field, Schema};

    use super::*;
    use crate::key::StageDigest;

    fn lock(components: &[(&str, u8)], sources: &[(&str, usize)]) -> Lock {
        let fields = |number| (0..number).map(|i| Field::new(format!("c{i}"), DataType::Int64, true));
        let schema = |number| Arc::new(Schema::new(fields(number).collect::<Vec<_>>()));
        Lock {
            components: components.iter().map(|(code, byte)| ((*code).into(), StageDigest::new([*byte; 32]))).collect(),
            sources: sources.iter().map(|(name, columns)| ((*name).into(), schema(*columns))).collect(),
            ..Lock::default()
        }
    }

    #[test]
    fn what_is_new_or_another_is_told_in_the_right_number() {
        let before = lock(&[("std a@1", 1), ("std b@1", 1)], &[("s", 1), ("t", 2)]);
        let now = lock(&[("std a@1", 1), ("std b@1", 2), ("std c@1", 3)], &[("s", 1), ("t", 3), ("u", 1)]);
        let pins = LockChange::between(&before, &now);
        let told: Vec<String> = pins.iter().map(LockChange::to_string).collect();
        let expected = [
            "pin std b@1 at 020202020202, no longer at 010101010101",
            "pin std c@1 at 030303030303",
            "pin 3 columns of source t again",
            "pin 1 column of source u",
        ];
        assert_eq!(told, expected);
        assert_eq!(LockChange::summary(&pins), "2 components, 2 sources");
        assert_eq!(LockChange::summary(&pins[3..]), "1 source");
        assert!(LockChange::between(&now, &now).is_empty());
    }
}
