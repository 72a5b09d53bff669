//! What the text says of running a stage.

mod cache;
mod serialization;

use serde::{Deserialize, Serialize};

pub use cache::Cache;
pub use serialization::Serialization;

/// What the text says of running a stage. None of it is in a key but the number of processors: the rest decides whether there is a
/// result, not which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How far the stage is kept from others.
    pub isolate: Isolate,
    /// Whether its results are kept, and for how long.
    pub cache: Cache,
    /// Wall time for one invocation, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Bytes of memory for one instance, batches held by handle included.
    pub memory: Option<u64>,
    /// Processors that its program may use at once, where the text says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// What batches are made of on their way to the program that runs it. Written only where the text says it.
    #[serde(default, skip_serializing_if = "Serialization::is_default")]
    pub serialization: Serialization,
}

impl Limits {
    /// Processors that its program may use at once: one where nothing is said, since what several threads add up depends on how
    /// many they are.
    pub fn processors(&self) -> u32 {
        self.cpus.unwrap_or(1)
    }
}

/// How far a stage is kept from others, each further than the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolate {
    /// It shares a unit with its neighbours where it can.
    #[default]
    No,
    /// `#true`: it is a unit of its own, wherever its kind of code runs.
    Unit,
    /// `"process"`: a unit, and a process of its own.
    Process,
    /// `"container"`: a unit, and a container of its own.
    Container,
}

impl Isolate {
    /// The one that a text names.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "process" => Some(Isolate::Process),
            "container" => Some(Isolate::Container),
            _ => None,
        }
    }
}

/// As in the text.
impl std::fmt::Display for Isolate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Isolate::No => "#false",
            Isolate::Unit => "#true",
            Isolate::Process => "\"process\"",
            Isolate::Container => "\"container\"",
        })
    }
}
