//! The ports of an invocation, and what the contract allows on them.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, FieldRef};
use flowc_arrays::check_types;
use flowc_planner::{plan, quantity};
use flowc_runner::{Batch, InputPort, Invocation, OutputPort, schema};

use crate::budget::Budget;
use crate::fault::Stop;
use crate::held::{Finished, Rows};

/// All ports.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
}

/// An input port, and how much came.
#[derive(Debug)]
pub(crate) struct Input {
    all: Arc<[InputPort]>,
    number: usize,
    pushed: u64,
}

/// An output port, and how much went.
#[derive(Debug)]
pub(crate) struct Output {
    all: Arc<[OutputPort]>,
    number: usize,
    /// Fields of the columns that the stage writes.
    pub(crate) written: Vec<FieldRef>,
    /// The last statement of their types, which was right.
    stated: Option<Vec<u8>>,
    /// Whether the columns are the input's, all of them in order, and all needed.
    is_identity: bool,
    emitted: u64,
}

impl Ports {
    pub(crate) fn new(invocation: &Invocation) -> Self {
        let input = |number| Input { all: invocation.inputs.clone(), number, pushed: 0 };
        let output = |number| Output::new(&invocation.outputs, number, &invocation.inputs);
        Self {
            inputs: (0..invocation.inputs.len()).map(input).collect(),
            outputs: (0..invocation.outputs.len()).map(output).collect(),
        }
    }

    /// An output port that a guest names.
    pub(crate) fn output(&self, port: u32) -> Result<&Output, Stop> {
        let missing = || Stop::contract(format!("there is no output port {port}"));
        self.outputs.get(port as usize).ok_or_else(missing)
    }

    /// The same, to be changed.
    pub(crate) fn output_mut(&mut self, port: u32) -> Result<&mut Output, Stop> {
        let missing = || Stop::contract(format!("there is no output port {port}"));
        self.outputs.get_mut(port as usize).ok_or_else(missing)
    }

    /// Counts a batch that leaves by an output, and holds its place against the input's rows.
    pub(crate) fn count(&mut self, finished: &Finished) -> Result<(), Stop> {
        let output = &mut self.outputs[finished.port];
        let plan::Rows::Same { input } = output.port().rows else { return Ok(()) };
        let rows = finished.batch.rows() as u64;
        if rows > 0 && finished.first != Some(output.emitted) {
            let (port, due) = (output.number, output.emitted);
            return Err(Stop::contract(format!(
                "output port {port} keeps the rows of input port {input}, each once and in order: row {due} is due"
            )));
        }
        output.emitted += rows;
        Ok(())
    }

    /// Whether every output that keeps an input's rows has all of them.
    pub(crate) fn check_complete(&self) -> Result<(), String> {
        for output in &self.outputs {
            let plan::Rows::Same { input } = output.port().rows else { continue };
            let pushed = self.inputs.get(input).map_or(0, |input| input.pushed);
            if output.emitted != pushed {
                let (port, emitted) = (output.number, output.emitted);
                return Err(format!(
                    "output port {port} keeps the rows of input port {input}: {emitted} of {pushed} were emitted"
                ));
            }
        }
        Ok(())
    }
}

impl Input {
    fn port(&self) -> &InputPort {
        &self.all[self.number]
    }

    /// The columns of the stream with these numbers among those that the stage reads.
    pub(crate) fn reads(&self, numbers: &[u32]) -> Result<Vec<usize>, Stop> {
        let reads = &self.port().reads;
        if numbers.len() > reads.len() {
            let (wanted, port, due) = (numbers.len(), self.number, reads.len());
            return Err(Stop::contract(format!(
                "{} are read at once from the {due} of input port {port}",
                quantity::count(wanted as u64, "column")
            )));
        }
        let find = |&number: &u32| {
            reads.get(number as usize).copied().ok_or_else(|| {
                let (port, due) = (self.number, reads.len());
                let declared = quantity::count(due as u64, "declared column");
                Stop::contract(format!("column {number} of input port {port} is read, which has {declared}"))
            })
        };
        numbers.iter().map(find).collect()
    }

    /// Counts a pushed batch. Gives the number of its first row.
    pub(crate) fn count(&mut self, batch: &Batch) -> u64 {
        let start = self.pushed;
        self.pushed += batch.rows() as u64;
        start
    }

    /// Compares columns that are about to be read with the types that the stage was told.
    pub(crate) fn check_types(&self, columns: &[usize], arrays: &[ArrayRef]) -> Result<(), Stop> {
        let due: Vec<FieldRef> = columns.iter().map(|&column| self.port().schema.fields()[column].clone()).collect();
        let found: Vec<DataType> = arrays.iter().map(|array| array.data_type().clone()).collect();
        check_types(&due, &found).map_err(|error| Stop::contract(format!("input port {}: {error}", self.number)))
    }

    /// The name of a column, for messages.
    pub(crate) fn column_name(&self, column: usize) -> &str {
        self.port().schema.fields().get(column).map_or("?", |field| field.name())
    }
}

impl Output {
    fn new(all: &Arc<[OutputPort]>, number: usize, inputs: &[InputPort]) -> Self {
        let port = &all[number];
        let origins = port.columns.iter().zip(port.schema.fields());
        let written = origins.filter(|(origin, _)| **origin == plan::OutputColumn::Written);
        let width = port.rows.input().and_then(|input| inputs.get(input)).map(|input| input.schema.fields().len());
        let passed = |(i, origin): (usize, &plan::OutputColumn)| *origin == plan::OutputColumn::Passed { column: i };
        Self {
            all: all.clone(),
            number,
            written: written.map(|(_, field)| field.clone()).collect(),
            stated: None,
            is_identity: width == Some(port.columns.len())
                && port.columns.iter().enumerate().all(passed)
                && port.needed.iter().all(|needed| *needed),
            emitted: 0,
        }
    }

    fn port(&self) -> &OutputPort {
        &self.all[self.number]
    }

    /// Compares the types that a stage states of the columns that it writes, as a schema message, with the described
    /// ones. A stage states the same with each batch, so what was right before is not read again.
    pub(crate) fn check_types(&mut self, stated: Vec<u8>) -> Result<(), Stop> {
        let states_nothing = stated.is_empty() && self.written.is_empty();
        if states_nothing || self.stated.as_ref() == Some(&stated) {
            return Ok(());
        }
        let unreadable = |error| self.says(format!("the types of its columns can't be read: {error}"));
        let schema = schema::decode(&stated).map_err(unreadable)?;
        let given: Vec<DataType> = schema.fields().iter().map(|field| field.data_type().clone()).collect();
        check_types(&self.written, &given).map_err(|error| self.says(error))?;
        self.stated = Some(stated);
        Ok(())
    }

    /// A breach of the contract on this port.
    pub(crate) fn says(&self, what: impl std::fmt::Display) -> Stop {
        Stop::contract(format!("output port {}: {what}", self.number))
    }

    /// A batch of rows of the stage's own making.
    pub(crate) fn make(&self, rows: usize, written: Vec<ArrayRef>, memory: usize) -> Result<Finished, Stop> {
        if let Some(input) = self.port().rows.input() {
            let port = self.number;
            return Err(Stop::contract(format!(
                "output port {port} has rows of input port {input}: its batches are derived, not made"
            )));
        }
        let batch = Batch::new(rows, self.columns(written, |_| Err(Stop::contract("no column can be passed on")))?);
        Ok(Finished { port: self.number, lease: None, first: None, batch, memory })
    }

    /// A batch of an input's rows: columns passed on and columns written.
    pub(crate) fn derive(
        &self,
        from: &mut Rows,
        written: Vec<ArrayRef>,
        memory: usize,
        budget: &Budget,
    ) -> Result<Finished, Stop> {
        self.check_origin(from.port)?;
        let (port, lease, first, rows) = (self.number, Some(from.lease), from.first, from.rows());
        if let (true, Some(batch)) = (self.is_identity, from.untouched()) {
            return Ok(Finished { port, lease, first, batch: batch.clone(), memory });
        }
        let mut spent = memory;
        let columns = self.columns(written, |column| {
            let array = from.column(column, budget.room())?.ok_or_else(|| self.absent(column))?;
            if from.untouched().is_none() {
                spent += array.get_array_memory_size();
            }
            Ok(array)
        })?;
        Ok(Finished { port, lease, first, batch: Batch::new(rows, columns), memory: spent })
    }

    /// Whether rows of this input may leave here.
    fn check_origin(&self, input: usize) -> Result<(), Stop> {
        match self.port().rows.input() {
            Some(due) if due != input => Err(Stop::contract(format!(
                "output port {} has rows of input port {due}, not of input port {input}",
                self.number
            ))),
            _ => Ok(()),
        }
    }

    fn columns(
        &self,
        written: Vec<ArrayRef>,
        mut passed: impl FnMut(usize) -> Result<ArrayRef, Stop>,
    ) -> Result<Vec<Option<ArrayRef>>, Stop> {
        let port = self.port();
        let mut written = written.into_iter();
        let column = |(origin, needed): (&plan::OutputColumn, &bool)| match origin {
            plan::OutputColumn::Written => Ok(written.next().filter(|_| *needed)),
            plan::OutputColumn::Passed { column } if *needed => passed(*column).map(Some),
            plan::OutputColumn::Passed { .. } => Ok(None),
        };
        port.columns.iter().zip(&port.needed).map(column).collect()
    }

    fn absent(&self, column: usize) -> Stop {
        let port = self.number;
        Stop::contract(format!("output port {port} passes on column {column} of its input, which was not handed over"))
    }
}
