//! The messages of the stage protocol (`docs/flight-protocol.md`), as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow_flight::FlightData;
use arrow_schema::{Schema, SchemaRef};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flowc_planner::catalogue::{Description, Explanation, InputDescription, OutputDescription, Problem};
use flowc_planner::key::Phase;
use flowc_planner::plan::{Class, OutputColumn, Rows, Serialization};
use flowc_runner::{InputIdentity, LONGEST_LINE, Secrets, schema, shortened};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of the protocol that is spoken here.
pub(crate) const PROTOCOL: u64 = 1;

/// Action: what a stage is.
pub(crate) const SIGNATURE: &str = "flowc.signature";
/// Action: what a stage makes of a config and of schemas.
pub(crate) const DESCRIBE: &str = "flowc.describe";
/// Action: whether a component is held, or that it is to be.
pub(crate) const COMPONENT: &str = "flowc.component";

/// A place in a region of shared memory: offset and length in bytes.
pub(crate) type Block = [u64; 2];

/// A schema as an IPC message in base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct WireSchema(String);

impl WireSchema {
    pub(crate) fn of(schema: &Schema) -> Result<Self, String> {
        schema::encode(schema).map(|bytes| Self(STANDARD.encode(bytes))).map_err(|error| error.to_string())
    }

    pub(crate) fn decode(&self) -> Result<SchemaRef, String> {
        let bytes = STANDARD.decode(&self.0).map_err(|error| format!("a schema is no base64: {error}"))?;
        schema::decode(&bytes).map(Into::into).map_err(|error| format!("a schema can't be read: {error}"))
    }
}

/// What every request holds.
#[derive(Deserialize)]
pub(crate) struct Request {
    pub(crate) protocol: u64,
}

/// Body of [`SIGNATURE`].
#[derive(Serialize, Deserialize)]
pub(crate) struct AskSignature<'a> {
    pub(crate) protocol: u64,
    pub(crate) stage: Cow<'a, str>,
}

/// Body of [`DESCRIBE`].
#[derive(Serialize, Deserialize)]
pub(crate) struct AskDescribe<'a> {
    pub(crate) protocol: u64,
    pub(crate) stage: Cow<'a, str>,
    pub(crate) config: Cow<'a, serde_json::Value>,
    pub(crate) inputs: Vec<WireSchema>,
}

/// Body of [`COMPONENT`].
#[derive(Serialize, Deserialize)]
pub(crate) struct AskComponent<'a> {
    pub(crate) protocol: u64,
    /// The component's digest.
    pub(crate) stage: Cow<'a, str>,
    /// The limit of invocations to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    /// Its bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<String>,
}

/// Answer to [`COMPONENT`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) held: bool,
}

/// What an action answers: what was asked for, or a problem.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer<T> {
    Problem { problem: WireProblem },
    Good(T),
}

/// Why a stage cannot go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireProblem {
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) also: Vec<WireProblem>,
}

impl From<Problem> for WireProblem {
    fn from(problem: Problem) -> Self {
        let Problem { message, config_path, help, also, .. } = problem;
        Self { message, config_path, help, also: also.into_iter().map(Self::from).collect() }
    }
}

impl From<WireProblem> for Problem {
    fn from(wire: WireProblem) -> Self {
        let WireProblem { message, config_path, help, also } = wire;
        let message = shortened(message, LONGEST_LINE);
        let help = help.map(|help| shortened(help, LONGEST_LINE));
        let also = also.into_iter().map(Self::from).collect();
        Problem { message, config_path, help, also, ..Problem::default() }
    }
}

/// What a stage is.
#[derive(Serialize, Deserialize)]
pub(crate) struct WireSignature {
    pub(crate) protocol: u64,
    #[serde(default)]
    pub(crate) doc: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    #[serde(default)]
    pub(crate) config_schema: serde_json::Value,
    /// Whether openings may hold `steps`.
    #[serde(default)]
    pub(crate) chains: bool,
    /// What openings may say of batches, beside `arrow`. There may be others than are known here.
    #[serde(default)]
    pub(crate) serializations: Vec<String>,
}

/// What a stage does with a config and schemas.
#[derive(Serialize, Deserialize)]
pub(crate) struct WireDescription {
    inputs: Vec<WireInput>,
    outputs: Vec<WireOutput>,
    #[serde(default)]
    partial: Option<WireSchema>,
    #[serde(default = "one")]
    parts: u64,
    #[serde(default, skip_serializing_if = "Explanation::is_empty")]
    explanation: Explanation,
}

fn one() -> u64 {
    1
}

#[derive(Serialize, Deserialize)]
struct WireInput {
    class: Class,
    reads: Vec<usize>,
    #[serde(default)]
    keys: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
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

#[derive(Clone, Copy, Serialize, Deserialize)]
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
    /// Fails where a schema can't be written.
    pub(crate) fn of(description: Description) -> Result<Self, String> {
        let input = |InputDescription { class, reads, keys }| WireInput { class, reads, keys };
        let output = |OutputDescription { schema, rows, columns }: OutputDescription| {
            let origin = |origin| match origin {
                OutputColumn::Written => WireOrigin::Written,
                OutputColumn::Passed { column } => WireOrigin::Passed(column),
            };
            let columns = columns.into_iter().map(origin).collect();
            Ok(WireOutput { schema: WireSchema::of(&schema)?, rows: rows.into(), columns })
        };
        Ok(Self {
            inputs: description.inputs.into_iter().map(input).collect(),
            outputs: description.outputs.into_iter().map(output).collect::<Result<_, String>>()?,
            partial: description.partial.map(|schema| WireSchema::of(&schema)).transpose()?,
            parts: description.parts,
            explanation: description.explanation,
        })
    }

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
            runner: BTreeMap::new(),
            explanation: self.explanation,
        })
    }
}

/// The descriptor of an exchange.
#[derive(Serialize, Deserialize)]
pub(crate) struct Opening<'a> {
    pub(crate) protocol: u64,
    pub(crate) stage: Cow<'a, str>,
    pub(crate) invocation: Cow<'a, str>,
    pub(crate) config: serde_json::Value,
    pub(crate) phase: Phase,
    pub(crate) part: u64,
    pub(crate) inputs: Vec<OpeningInput>,
    pub(crate) main: Option<usize>,
    pub(crate) outputs: Vec<OpeningOutput>,
    pub(crate) credit: u64,
    /// What an instance may take, where the server is to see to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    /// What batches are made of, on all streams.
    #[serde(default, skip_serializing_if = "Serialization::is_default")]
    pub(crate) serialization: Serialization,
    #[serde(default, skip_serializing_if = "WireSecrets::is_empty")]
    pub(crate) secrets: WireSecrets,
    /// The stages of a chain; empty for a single one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) steps: Vec<OpeningStep>,
}

/// A stage of a chain in an [`Opening`].
#[derive(Serialize, Deserialize)]
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
    /// What its instance may take; as in the opening if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "WireSecrets::is_empty")]
    pub(crate) secrets: WireSecrets,
}

/// The secrets of a stage in an [`Opening`]. They can be written there and nowhere else.
#[derive(Default)]
pub(crate) struct WireSecrets(pub(crate) Secrets);

impl WireSecrets {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for WireSecrets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for WireSecrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer).map(|values| Self(values.into_iter().collect()))
    }
}

/// A column of a frame.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WireFrameColumn {
    Kept(usize),
    Written(usize),
}

impl WireFrameColumn {
    /// Its place in the frame before, if it was there.
    pub(crate) fn kept(&self) -> Option<usize> {
        if let Self::Kept(place) = *self { Some(place) } else { None }
    }

    /// Its place among what the stage writes, if it does.
    pub(crate) fn written(&self) -> Option<usize> {
        if let Self::Written(place) = *self { Some(place) } else { None }
    }
}

/// An input in an [`Opening`].
#[derive(Serialize, Deserialize)]
pub(crate) struct OpeningInput {
    pub(crate) schema: WireSchema,
    /// What its rows are, if the stage may say that it holds them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<InputIdentity>,
}

/// An output in an [`Opening`].
#[derive(Serialize, Deserialize)]
pub(crate) struct OpeningOutput {
    pub(crate) rows: WireRows,
    pub(crate) written: WireSchema,
}

/// The ticket of an output beyond the first.
#[derive(Serialize, Deserialize)]
pub(crate) struct OutputTicket<'a> {
    pub(crate) protocol: u64,
    pub(crate) stage: Cow<'a, str>,
    pub(crate) invocation: Cow<'a, str>,
    pub(crate) output: usize,
}

/// The name of the column of row numbers.
pub(crate) const ROW: &str = "row";

/// The path by which an input beside the main one is put: its first part, and its third.
const PUT: [&str; 2] = ["flowc", "input"];

/// Where an input beside the main one is put.
pub(crate) fn put_path(invocation: &str, port: usize) -> Vec<String> {
    [PUT[0], invocation, PUT[1], &port.to_string()].map(str::to_owned).to_vec()
}

/// The invocation and the input that such a path names.
pub(crate) fn read_put_path(path: &[String]) -> Option<(&str, usize)> {
    match path {
        [flowc, invocation, input, port] if [flowc, input] == PUT => Some((invocation, port.parse().ok()?)),
        _ => None,
    }
}

/// Metadata of a message of the stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Note {
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) opened: bool,
    /// With `opened`: numbers of picked rows need not ascend, and only `settled` says which are not picked any more.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) unordered: bool,
    /// With `opened`: boundaries are answered.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) boundaries: bool,
    /// With `opened`: the inputs of which the stage holds all rows, by their identities. They do not come.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) holds: Vec<usize>,
    /// To the stage, on its main input: the client waits for all that it gives for the rows before. From the stage, on each output:
    /// that was all.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) boundary: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) consumed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) settled: Option<u64>,
    /// Where the batch lies that this message stands for: offset and length in the sender's region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) block: Option<Block>,
    /// To the stage: the batches of a file that this message stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stored: Option<WireStored>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<(String, String)>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) finished: bool,
    /// Whose log, problem or failure it is, in a chain; the last stage's if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<usize>,
    /// With a problem or failure of a step after the first: the rows of its input that it was being given, the first and the
    /// one after the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<[u64; 2]>,
    /// With `finished`: the rows that each stage of a chain but the last one gave.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rows: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<WireProblem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<WireFailure>,
}

/// Batches of a stored file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireStored {
    pub(crate) file: u64,
    /// Per column of the stream: its place in the file.
    pub(crate) columns: Vec<usize>,
    /// The first one, and the one after the last.
    pub(crate) batches: [usize; 2],
}

/// How a stage's code failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireFailure {
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) memory: bool,
    /// It took longer than it may.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) timeout: bool,
    /// It broke the contract, as the server saw it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) breach: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl Note {
    /// Reads metadata; none is an empty note.
    pub(crate) fn read(metadata: &[u8]) -> Result<Self, String> {
        if metadata.is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(metadata).map_err(|error| format!("its metadata can't be read: {error}"))
    }

    /// The reverse.
    pub(crate) fn write(&self) -> bytes::Bytes {
        // Text and numbers in named fields can always be written.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// A message of metadata alone.
    pub(crate) fn alone(&self) -> FlightData {
        FlightData { app_metadata: self.write(), ..FlightData::default() }
    }
}
