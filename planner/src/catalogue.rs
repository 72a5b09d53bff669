//! What the planner asks of the world, through one trait: which stages there are, what they make of a config and of
//! schemas, and what columns a source has. The executor answers from components and files, tests from a table.

use std::collections::BTreeMap;

use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};

use crate::key::StageDigest;
use crate::plan::{
    Class, Code, Isolate, Location, OutputColumn, Plan, Purity, Rows, Serialization, SinkSpec, SourceSpec, Target,
};

/// Answers the planner's questions. Each method takes a batch, so that an implementation may work in parallel.
/// Answers come in the order of the questions.
pub trait Catalogue {
    /// Told before any question: files of the pipeline itself, which are no code of its stages.
    fn leave_out(&mut self, _own: &OwnFiles) {}

    /// Whether stages can be isolated so.
    ///
    /// # Errors
    /// What is missing.
    fn isolation(&mut self, _isolate: Isolate) -> Result<(), Problem> {
        Ok(())
    }

    /// Whether a source of such a place and format can be read.
    ///
    /// # Errors
    /// What is missing.
    fn source(&mut self, _spec: &SourceSpec) -> Result<(), Problem> {
        Ok(())
    }

    /// Whether sinks can write to such a place.
    ///
    /// # Errors
    /// What is missing.
    fn target(&mut self, _target: &Target) -> Result<(), Problem> {
        Ok(())
    }

    /// What is behind each code reference: identity, ports, config schema.
    fn signatures(&mut self, codes: &[Code]) -> Vec<Result<Signature, Problem>>;

    /// What each stage makes of its config and its inputs' schemas. Pure: equal questions, equal answers.
    fn describe(&mut self, questions: &[Question]) -> Vec<Result<Description, Problem>>;

    /// The columns of each source that does not declare them. `name` is the source's name, the key in the lock.
    fn source_schemas(&mut self, sources: &[(String, SourceSpec)]) -> Vec<Result<SchemaRef, Problem>>;
}

/// What a pipeline itself reads and writes, as in the text: relative to its folder, unless absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnFiles {
    /// Paths and patterns of source files.
    pub read: Vec<String>,
    /// Files and folders of sinks.
    pub written: Vec<String>,
}

impl OwnFiles {
    /// Those of some sources and sinks.
    pub fn new<'a>(sources: impl Iterator<Item = &'a SourceSpec>, sinks: impl Iterator<Item = &'a SinkSpec>) -> Self {
        let read = sources.flat_map(|source| match &source.location {
            Location::Files(patterns) => patterns.as_slice(),
            Location::Stdin
            | Location::Kafka(_)
            | Location::Objects(_)
            | Location::Flight(_)
            | Location::Delta(_)
            | Location::Database(_) => &[],
        });
        let written = sinks.filter_map(|sink| match &sink.target {
            Target::File(path) | Target::Directory(path) => Some(path.clone()),
            Target::Stdout | Target::Kafka(_) | Target::Objects(_) | Target::Database(_) | Target::Delta(_) => None,
        });
        Self { read: read.cloned().collect(), written: written.collect() }
    }

    /// Those of a plan.
    pub fn of(plan: &Plan) -> Self {
        Self::new(plan.sources.iter().map(|source| &source.spec), plan.sinks.iter().map(|sink| &sink.spec))
    }
}

/// What a stage is, before any config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// Identity of the code.
    pub digest: StageDigest,
    /// One paragraph for people.
    pub doc: String,
    /// Input ports in order; none for a stage that makes its own rows.
    pub inputs: Vec<String>,
    /// Output ports in order; at least one.
    pub outputs: Vec<String>,
    /// JSON Schema of the config.
    pub config_schema: serde_json::Value,
    /// The grade that its runner can prove.
    pub purity: Purity,
    /// What the stage's runner adds to the key.
    pub runner: BTreeMap<String, String>,
    /// What would have to keep its program from the machine, and can't here: its results may depend on more than is known. By
    /// names; not remembered, since it is the machine's.
    #[serde(skip)]
    pub unenforced: Option<String>,
    /// Whether its program runs adjacent stages in one invocation.
    pub chains: bool,
    /// What its program can make batches of.
    pub serializations: Vec<Serialization>,
}

/// A describe question.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The code, as in the text.
    pub code: Code,
    /// The digest of the code, from the signature.
    pub digest: StageDigest,
    /// The typed config.
    pub config: serde_json::Value,
    /// Schemas of the inputs, in port order.
    pub inputs: Vec<SchemaRef>,
}

/// What a stage will do with one config and given input schemas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// One per input port.
    pub inputs: Vec<InputDescription>,
    /// One per output port.
    pub outputs: Vec<OutputDescription>,
    /// Columns of the partials, when an input is combining.
    pub partial: Option<SchemaRef>,
    /// Number of invocations of a stage without inputs; 1 elsewhere.
    pub parts: u64,
    /// What the stage's runner adds to the key beside what the signature says: it depends on the config and the inputs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runner: BTreeMap<String, String>,
    /// What there is to tell people of it.
    #[serde(default, skip_serializing_if = "Explanation::is_empty")]
    pub explanation: Explanation,
}

/// Why a stage is described as it is. It is for people, and in no key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Per input port, why it is of its class; empty where there is nothing to say.
    #[serde(default)]
    pub classes: Vec<String>,
    /// How the stage works, in lines.
    #[serde(default)]
    pub work: String,
}

impl Explanation {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.classes.iter().all(String::is_empty) && self.work.is_empty()
    }
}

/// What a stage needs of one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDescription {
    /// What the stage needs of the input before it can answer.
    pub class: Class,
    /// Indices of the columns that it reads, ascending.
    pub reads: Vec<usize>,
    /// Indices of the key columns, for a keyed input.
    pub keys: Vec<usize>,
}

/// What a stage gives on one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputDescription {
    /// All its columns.
    pub schema: SchemaRef,
    /// How the rows relate to those of an input.
    pub rows: Rows,
    /// Where each column comes from.
    pub columns: Vec<OutputColumn>,
}

/// What stands, in the path of a problem, before the pointer to what a stage says of its kernel's columns: `kernel:/bind/x`,
/// `kernel:/gives/due`, `kernel:/drops/0`.
pub const KERNEL_COLUMNS: &str = "kernel:";

/// Why a question has no good answer. The planner gives it a span.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What is wrong, for people.
    pub message: String,
    /// JSON pointer into the config (`/columns/0`), a part of a statement ([`statement_path`](crate::statement_path)), or what is
    /// said of a kernel's columns ([`KERNEL_COLUMNS`]), which the planner maps to the text.
    pub config_path: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// What has to be put right.
    #[serde(default)]
    pub blame: Blame,
    /// What else is wrong, told along with it.
    #[serde(default)]
    pub also: Vec<Problem>,
}

/// What has to be put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blame {
    /// The pipeline, or the code that it names.
    #[default]
    Pipeline,
    /// Nothing but the lock, which says something else.
    Lock,
    /// The machine: it lacks a program, or refuses something.
    Machine,
}

impl Problem {
    /// A problem without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Something that does not fit the lock.
    pub fn against_lock(message: impl Into<String>) -> Self {
        Self { message: message.into(), blame: Blame::Lock, ..Self::default() }
    }

    /// Something that the machine lacks or refuses.
    pub fn of_machine(message: impl Into<String>) -> Self {
        Self { message: message.into(), blame: Blame::Machine, ..Self::default() }
    }

    /// Says what to do about it.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
