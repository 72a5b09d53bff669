//! Asserts: stages each of whose rows breaks a rule.

use serde::{Deserialize, Serialize};

/// What follows if an assert has rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The run fails, and no sink appears whose rows come from what was checked.
    #[default]
    Fail,
    /// The run warns.
    Warn,
    /// They are counted; whoever wants them reads the stream.
    Stream,
}

impl OnFailure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Fail, Self::Warn, Self::Stream];

    /// As in the text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Stream => "stream",
        }
    }

    /// The one of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}
