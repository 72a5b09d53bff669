//! What an invocation is to be, out of the opening of an exchange.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use flowc_planner::catalogue::Problem;
use flowc_planner::key::canonical_json;
use flowc_planner::plan::{Limits, OutputColumn, Rows, Serialization};
use flowc_runner::{InputIdentity, InputPort, OutputPort};
use serde::Deserialize;
use tonic::Status;

use super::numbers::Numbers;
use super::steps::{ChainStep, chain};
use crate::wire::{Opening, PROTOCOL, ROW, Request, WireSchema};

/// Why a request is not answered as asked.
pub(super) enum Refusal {
    /// It is none of the protocol.
    Status(Status),
    /// It is one, and can't be followed.
    Problem(Problem),
}

impl Refusal {
    pub(super) fn invalid(what: impl Into<String>) -> Self {
        Self::Status(Status::invalid_argument(what))
    }
}

/// Reads a request of the version that is spoken here.
pub(super) fn request<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    let invalid = |error: serde_json::Error| Refusal::invalid(format!("the request can't be read: {error}"));
    let Request { protocol } = serde_json::from_slice(body).map_err(invalid)?;
    if protocol != PROTOCOL {
        let what = format!("the stage speaks version {PROTOCOL} of the protocol, not {protocol}");
        return Err(Refusal::Problem(Problem::new(what)));
    }
    serde_json::from_slice(body).map_err(invalid)
}

/// An invocation as its client wants it.
pub(super) struct Opened {
    /// Its name among those that are open.
    pub(super) name: String,
    /// Per input: the columns that come.
    pub(super) inputs: Vec<SchemaRef>,
    /// Per input: what its rows are, if the client says so.
    pub(super) identities: Vec<Option<InputIdentity>>,
    /// Per output: the columns that are sent.
    pub(super) outputs: Vec<SchemaRef>,
    /// Per input: whether its rows are numbered, since an output picks among them.
    pub(super) numbered: Vec<bool>,
    /// Per output: what becomes of rows.
    pub(super) rows: Vec<Rows>,
    /// The input that comes on the exchange.
    pub(super) main: Option<usize>,
    /// What batches are made of, both ways.
    pub(super) serialization: Serialization,
    /// Per input: which of the columns that come are handed over, in their order. After those lie the numbers of its rows.
    pub(super) takes: Vec<Vec<usize>>,
    /// The stages, in their order.
    pub(super) steps: Vec<ChainStep>,
}

impl Opened {
    /// Reads the command of an exchange.
    pub(super) fn read(command: &[u8]) -> Result<Self, Refusal> {
        let opening: Opening<'static> = request(command)?;
        let schema = |schema: &WireSchema| schema.decode().map_err(Refusal::invalid);
        let inputs = opening.inputs.iter().map(|input| schema(&input.schema)).collect::<Result<Vec<_>, _>>()?;
        let identities = opening.inputs.iter().map(|input| input.identity).collect();
        let outputs = opening.outputs.iter().map(|output| schema(&output.written)).collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<Rows> = opening.outputs.iter().map(|output| output.rows.into()).collect();
        check(&opening, &outputs, &rows)?;
        let is_picked = |input| rows.contains(&Rows::Subset { input });
        let numbered = (0..inputs.len()).map(is_picked).collect();
        let (name, main, serialization) =
            (opening.invocation.clone().into_owned(), opening.main, opening.serialization);
        let (takes, steps) = (Vec::new(), Vec::new());
        let opened = Self { name, inputs, identities, outputs, numbered, rows, main, serialization, takes, steps };
        opened.with_steps(&opening).map_err(Refusal::invalid)
    }

    /// The inputs beside the main one.
    pub(super) fn others(&self) -> impl Iterator<Item = usize> {
        (0..self.inputs.len()).filter(|port| Some(*port) != self.main)
    }

    /// Whether an output has rows of an input.
    fn is_given_on(&self, input: usize) -> bool {
        self.rows.iter().any(|rows| rows.input() == Some(input))
    }

    fn with_steps(mut self, opening: &Opening<'_>) -> Result<Self, String> {
        let whole = self.whole(opening);
        self.takes = whole.inputs.iter().map(|input| (0..input.schema.fields().len()).collect()).collect();
        if opening.steps.is_empty() {
            return Ok(Self { steps: vec![whole], ..self });
        }
        let (takes, steps) = chain(&whole, &opening.steps)?;
        self.main.into_iter().for_each(|main| self.takes[main].clone_from(&takes));
        Ok(Self { steps, ..self })
    }

    /// All of it as if it were one stage, as it is where there are no steps.
    fn whole(&self, opening: &Opening<'_>) -> ChainStep {
        let outputs: Arc<[OutputPort]> = (0..self.outputs.len()).map(|output| self.output(output)).collect();
        ChainStep {
            stage: (&*opening.stage).into(),
            limits: Limits { memory: opening.memory, timeout_ms: opening.timeout_ms, ..Limits::default() },
            config: canonical_json(&opening.config).into(),
            phase: opening.phase,
            part: opening.part,
            inputs: (0..self.inputs.len()).map(|input| self.input(input)).collect(),
            main: self.main,
            gives: outputs.iter().map(|output| (0..output.columns.len()).collect()).collect(),
            outputs,
            secrets: opening.secrets.0.clone(),
        }
    }

    /// All columns that come are read. After them, the numbers of the rows where these are picked.
    fn input(&self, input: usize) -> InputPort {
        let read = self.inputs[input].fields();
        let numbers = self.numbered[input].then(numbers);
        let fields: Vec<FieldRef> = read.iter().cloned().chain(numbers).collect();
        let identity = self.identities[input].filter(|_| Some(input) != self.main && !self.is_given_on(input));
        InputPort { schema: Arc::new(Schema::new(fields)), reads: (0..read.len()).collect(), identity }
    }

    fn output(&self, output: usize) -> OutputPort {
        let (sent, rows) = (self.outputs[output].fields(), self.rows[output]);
        let column = |(place, field): (usize, &FieldRef)| match rows {
            Rows::Subset { input } if place == 0 => {
                (numbers(), OutputColumn::Passed { column: self.inputs[input].fields().len() })
            }
            _ => (field.clone(), OutputColumn::Written),
        };
        let (fields, columns): (Vec<FieldRef>, Vec<_>) = sent.iter().enumerate().map(column).unzip();
        OutputPort { schema: Arc::new(Schema::new(fields)), rows, needed: vec![true; columns.len()], columns }
    }
}

fn numbers() -> FieldRef {
    Field::new(ROW, Numbers::data_type(), false).into()
}

/// Whether the parts of an opening fit each other.
fn check(opening: &Opening<'_>, outputs: &[SchemaRef], rows: &[Rows]) -> Result<(), Refusal> {
    let count = opening.inputs.len();
    if opening.main.is_some_and(|main| main >= count) || opening.main.is_none() != (count == 0) {
        return Err(Refusal::invalid(format!("the main input is {:?} of {count}", opening.main)));
    }
    if outputs.is_empty() {
        return Err(Refusal::invalid("there is no output"));
    }
    for (number, (rows, sent)) in rows.iter().zip(outputs).enumerate() {
        if let Some(input) = rows.input().filter(|input| *input >= count) {
            return Err(Refusal::invalid(format!("output {number} has the rows of input {input} of {count}")));
        }
        let first = sent.fields().first().map(|field| (field.name().as_str(), field.data_type()));
        if matches!(rows, Rows::Subset { .. }) && first != Some((ROW, &DataType::UInt64)) {
            return Err(Refusal::invalid(format!("output {number} picks rows, and does not begin with `{ROW}`")));
        }
    }
    Ok(())
}
