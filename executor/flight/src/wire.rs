//! The messages of the stage protocol (`docs/flight-protocol.md`), as JSON.

use arrow_schema::{Schema, SchemaRef};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowc_planner::catalogue::{Description, InputDescription, OutputDescription, Problem};
use flowc_planner::key::Phase;
use flowc_planner::plan::{Class, OutputColumn, Rows};
use flowc_runner::schema;
use serde::{Deserialize, Serialize};

/// The version of the protocol that is spoken here.
pub(crate) const PROTOCOL: u64 = 1;

/// Action: what a stage is.
pub(crate) const SIGNATURE: &str = "flowc.signature";
/// Action: what a stage makes of a config and of schemas.
pub(crate) const DESCRIBE: &str = "flowc.describe";

/// A schema as an IPC message in base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct WireSchema(String);

impl WireSchema {
    pub(crate) fn of(schema: &Schema) -> Result<Self, String> {
        schema::encode(schema).map(|bytes| Self(STANDARD.encode(bytes))).map_err(|error| error.to_string())
    }

    fn decode(&self) -> Result<SchemaRef, String> {
        let bytes = STANDARD.decode(&self.0).map_err(|error| format!("a schema is no base64: {error}"))?;
        schema::decode(&bytes).map(Into::into).map_err(|error| format!("a schema can't be read: {error}"))
    }
}

/// Body of [`SIGNATURE`].
#[derive(Serialize)]
pub(crate) struct AskSignature<'a> {
    pub(crate) protocol: u64,
    pub(crate) stage: &'a str,
}

/// Body of [`DESCRIBE`].
#[derive(Serialize)]
pub(crate) struct AskDescribe<'a> {
    pub(crate) protocol: u64,
    pub(crate) stage: &'a str,
    pub(crate) config: &'a serde_json::Value,
    pub(crate) inputs: Vec<WireSchema>,
}

/// What an action answers: what was asked for, or a problem.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer<T> {
    Problem { problem: WireProblem },
    Good(T),
}

/// Why a stage cannot go on.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WireProblem {
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) config_path: Option<String>,
    #[serde(default)]
    pub(crate) help: Option<String>,
}

impl From<WireProblem> for Problem {
    fn from(wire: WireProblem) -> Self {
        let WireProblem { message, config_path, help } = wire;
        Problem { message, config_path, help, ..Problem::default() }
    }
}

/// What a stage is.
#[derive(Deserialize)]
pub(crate) struct WireSignature {
    pub(crate) protocol: u64,
    #[serde(default)]
    pub(crate) doc: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    #[serde(default)]
    pub(crate) config_schema: serde_json::Value,
}

/// What a stage does with a config and schemas.
#[derive(Deserialize)]
pub(crate) struct WireDescription {
    inputs: Vec<WireInput>,
    outputs: Vec<WireOutput>,
    #[serde(default)]
    partial: Option<WireSchema>,
    #[serde(default = "one")]
    parts: u64,
}

fn one() -> u64 {
    1
}

#[derive(Deserialize)]
struct WireInput {
    class: Class,
    reads: Vec<usize>,
    #[serde(default)]
    keys: Vec<usize>,
}

#[derive(Deserialize)]
struct WireOutput {
    schema: WireSchema,
    rows: WireRows,
    columns: Vec<WireOrigin>,
}

/// What becomes of an input's rows.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WireRows {
    Same(usize),
    Subset(usize),
    New,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireOrigin {
    Written,
    Passed(usize),
}

impl From<WireRows> for Rows {
    fn from(wire: WireRows) -> Self {
        match wire {
            WireRows::Same(input) => Rows::Same { input },
            WireRows::Subset(input) => Rows::Subset { input },
            WireRows::New => Rows::New,
        }
    }
}

impl From<Rows> for WireRows {
    fn from(rows: Rows) -> Self {
        match rows {
            Rows::Same { input } => WireRows::Same(input),
            Rows::Subset { input } => WireRows::Subset(input),
            Rows::New => WireRows::New,
        }
    }
}

impl WireDescription {
    /// The planner checks what it says.
    pub(crate) fn decode(self) -> Result<Description, String> {
        let input = |WireInput { class, reads, keys }| InputDescription { class, reads, keys };
        let output = |output: WireOutput| {
            let origin = |origin: &WireOrigin| match *origin {
                WireOrigin::Written => OutputColumn::Written,
                WireOrigin::Passed(column) => OutputColumn::Passed { column },
            };
            let columns = output.columns.iter().map(origin).collect();
            Ok(OutputDescription { schema: output.schema.decode()?, rows: output.rows.into(), columns })
        };
        Ok(Description {
            inputs: self.inputs.into_iter().map(input).collect(),
            outputs: self.outputs.into_iter().map(output).collect::<Result<_, String>>()?,
            partial: self.partial.map(|schema| schema.decode()).transpose()?,
            parts: self.parts,
        })
    }
}

/// The descriptor of an exchange.
#[derive(Serialize)]
pub(crate) struct Opening<'a> {
    pub(crate) protocol: u64,
    pub(crate) stage: &'a str,
    pub(crate) invocation: &'a str,
    pub(crate) config: serde_json::Value,
    pub(crate) phase: Phase,
    pub(crate) part: u64,
    pub(crate) inputs: Vec<OpeningInput>,
    pub(crate) main: Option<usize>,
    pub(crate) outputs: Vec<OpeningOutput>,
    pub(crate) credit: u64,
    /// The stages of a chain; empty for a single one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<OpeningStep>,
}

/// A stage of a chain in an [`Opening`].
#[derive(Serialize)]
pub(crate) struct OpeningStep {
    pub(crate) stage: String,
    pub(crate) config: serde_json::Value,
    pub(crate) phase: Phase,
    /// Places in the frame before it.
    pub(crate) reads: Vec<usize>,
    /// The columns that it reads.
    pub(crate) input: WireSchema,
    pub(crate) rows: WireRows,
    pub(crate) written: WireSchema,
    pub(crate) frame: Vec<WireFrameColumn>,
}

/// A column of a frame.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WireFrameColumn {
    Kept(usize),
    Written(usize),
}

/// An input in an [`Opening`].
#[derive(Serialize)]
pub(crate) struct OpeningInput {
    pub(crate) schema: WireSchema,
}

/// An output in an [`Opening`].
#[derive(Serialize)]
pub(crate) struct OpeningOutput {
    pub(crate) rows: WireRows,
    pub(crate) written: WireSchema,
}

/// The ticket of an output beyond the first.
#[derive(Serialize)]
pub(crate) struct OutputTicket<'a> {
    pub(crate) protocol: u64,
    pub(crate) stage: &'a str,
    pub(crate) invocation: &'a str,
    pub(crate) output: usize,
}

/// Metadata of a message of the stage.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Note {
    pub(crate) opened: bool,
    pub(crate) consumed: Option<u64>,
    pub(crate) settled: Option<u64>,
    pub(crate) log: Vec<(String, String)>,
    pub(crate) finished: bool,
    /// Whose log, problem or failure it is, in a chain; the last stage's if nothing is said.
    pub(crate) step: Option<usize>,
    /// With `finished`: the rows that each stage of a chain but the last one gave.
    pub(crate) rows: Vec<u64>,
    pub(crate) problem: Option<WireProblem>,
    pub(crate) failed: Option<WireFailure>,
}

/// How a stage's code failed.
#[derive(Debug, Deserialize)]
pub(crate) struct WireFailure {
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) memory: bool,
}

impl Note {
    /// Reads metadata; none is an empty note.
    pub(crate) fn read(metadata: &[u8]) -> Result<Self, String> {
        if metadata.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(metadata).map_err(|error| format!("its metadata can't be read: {error}"))
    }
}
