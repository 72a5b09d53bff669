//! An instance of a stage behind a connection; `failing` says how its invocation fails, `patience` how long it waits.

mod failing;
mod patience;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use flowc_planner::catalogue::Problem;
use flowc_runner::{
    Batch, EdgeObserver, Instance, Invocation, LONGEST_LINE, Outlet, PIECE_BYTES, StageError, StageFault, shortened,
};

use crate::call::{Arrival, Call, Sent};
use crate::chain::Chain;
use crate::connection::{CREDIT, Connection};
use crate::decode::{Decoded, Decoder};
use crate::input::Input;
use crate::output::Output;
use crate::pending::{Pending, bytes_of};
use crate::program::Program;
use crate::stored::StoredRun;
use crate::transport::Transport;
use crate::wire::{
    Note, Opening, OpeningInput, OpeningOutput, OpeningStep, OutputTicket, PROTOCOL, WireSchema, WireSecrets,
};

use failing::{fault, largest_message};
use patience::Patience;

/// Lines of a log that one invocation may have from one boundary to the next.
const LINES: usize = 10_000;

/// The most that a message of stored batches counts for: two of them may be on their way.
const WINDOW: u64 = CREDIT as u64 / 2;

/// Stages of a program that an instance runs: one, or several that are adjacent.
pub struct Stages<'a> {
    /// Their names among those that the program serves.
    pub entries: Vec<String>,
    /// What each is to do.
    pub invocations: &'a [Invocation],
    /// Hear of all but the last.
    pub between: Vec<Box<dyn EdgeObserver>>,
}

/// A stage's invocation, or that of a chain of stages.
pub struct FlightInstance {
    /// The stages, in their order.
    stages: Vec<Invocation>,
    between: Vec<Box<dyn EdgeObserver>>,
    call: Call,
    /// One per output.
    decoders: Vec<Decoder>,
    transport: Transport,
    invocation: Invocation,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    /// Per input, the rows that outputs may still refer to.
    pending: Vec<Pending>,
    state: State,
    patience: Patience,
    outlet: Option<Box<dyn Outlet>>,
    program: Option<Box<dyn Program>>,
    lines: usize,
}

/// How far the stage has come.
#[derive(Default)]
struct State {
    opened: bool,
    finished: bool,
    /// Inputs, beside the main one, of which the stage has taken everything.
    taken: Vec<usize>,
    /// Inputs of which the stage holds all rows.
    held: Vec<usize>,
    /// Outputs whose stream is over.
    ended: usize,
    /// Whether the stage answers boundaries.
    answers_boundaries: bool,
    /// Outputs that have not reached the boundary that the stage was told of.
    before_boundary: BTreeSet<usize>,
}

impl FlightInstance {
    /// Opens an invocation on a program.
    ///
    /// # Errors
    /// If the stage refuses it, or the program is gone.
    pub fn open(
        connection: &Connection,
        program: Box<dyn Program>,
        stages: Stages<'_>,
        outlet: Box<dyn Outlet>,
    ) -> Result<Self, StageError> {
        let Stages { entries, invocations, between } = stages;
        let chain = (invocations.len() > 1).then(|| Chain::new(invocations));
        let invocation = chain.as_ref().map_or(&invocations[0], |chain| &chain.invocation);
        let outputs: Vec<Output> = (0..invocation.outputs.len()).map(|port| Output::new(invocation, port)).collect();
        let name = new_name();
        let (serialization, memory) = (invocation.limits.serialization, connection.memory.clone());
        let transport = Transport { serialization, memory };
        let mut instance = Self {
            stages: invocations.to_vec(),
            between,
            call: Call::new(connection, largest_message(&invocation.limits)),
            decoders: outputs.iter().map(|output| Decoder::new(output.sent().clone(), &transport)).collect(),
            inputs: Input::all(invocation, &outputs, &name, &transport)?,
            transport,
            pending: invocation.inputs.iter().map(|_| Pending::default()).collect(),
            invocation: invocation.clone(),
            outputs,
            state: State::default(),
            patience: Patience::new(&invocation.limits),
            outlet: Some(outlet),
            program: Some(program),
            lines: 0,
        };
        let steps = chain.map_or(Ok(Vec::new()), |chain| chain.opening(&entries, invocations));
        let opening = steps.and_then(|steps| instance.opening(&name, &entries[0], steps));
        let opening = opening.map_err(|what| instance.error(StageFault::Contract(what)))?;
        instance.begin(&name, &entries[0], opening)?;
        Ok(instance)
    }

    fn begin(&mut self, name: &str, stage: &str, opening: Vec<u8>) -> Result<(), StageError> {
        let messages = self.call.exchange(FlightDescriptor::new_cmd(opening));
        match self.invocation.main_input {
            Some(main) => self.inputs[main].messages = Some(messages),
            None => drop(messages),
        }
        // The main input may follow at once: it is on the same stream. Others name the invocation, which must be known first.
        while !self.state.opened && (self.inputs.len() > 1 || self.outputs.len() > 1) {
            self.wait()?;
        }
        for port in 1..self.outputs.len() {
            let (stage, invocation) = (stage.into(), name.into());
            let ticket = OutputTicket { protocol: PROTOCOL, stage, invocation, output: port };
            let ticket = serde_json::to_vec(&ticket).map_err(|e| self.error(StageFault::Contract(e.to_string())))?;
            self.call.get(port, Ticket::new(ticket));
        }
        Ok(())
    }

    fn opening(&self, name: &str, stage: &str, steps: Vec<OpeningStep>) -> Result<Vec<u8>, String> {
        let invocation = &self.invocation;
        let input = |input: &Input| {
            Ok(OpeningInput { schema: WireSchema::of(input.encoder.schema())?, identity: input.identity })
        };
        let output =
            |output: &Output| Ok(OpeningOutput { rows: output.rows().into(), written: WireSchema::of(output.sent())? });
        let opening = Opening {
            protocol: PROTOCOL,
            stage: stage.into(),
            invocation: name.into(),
            config: serde_json::from_str(&invocation.config).map_err(|error| format!("its config: {error}"))?,
            phase: invocation.phase,
            part: invocation.part,
            inputs: self.inputs.iter().map(input).collect::<Result<_, String>>()?,
            main: invocation.main_input,
            outputs: self.outputs.iter().map(output).collect::<Result<_, String>>()?,
            credit: CREDIT.into(),
            memory: invocation.limits.memory,
            timeout_ms: invocation.limits.timeout_ms,
            serialization: invocation.limits.serialization,
            secrets: WireSecrets(invocation.secrets.clone()),
            steps,
        };
        serde_json::to_vec(&opening).map_err(|error| error.to_string())
    }

    /// Waits for the next thing that the stage sends, and deals with it.
    fn wait(&mut self) -> Result<(), StageError> {
        let start = Instant::now();
        let arrival = self.call.next(self.patience.left());
        self.arrived(arrival, start)
    }

    fn arrived(&mut self, arrival: Option<Arrival>, since: Instant) -> Result<(), StageError> {
        self.patience.spend(since.elapsed());
        match (arrival, self.invocation.limits.timeout_ms) {
            (Some(arrival), _) => self.take(arrival),
            (None, Some(milliseconds)) => Err(self.error(StageFault::Timeout { milliseconds })),
            (None, None) => Err(self.lost("the connection is closed".to_owned(), true)),
        }
    }

    fn take(&mut self, arrival: Arrival) -> Result<(), StageError> {
        match arrival {
            Arrival::Message { port, message } => self.message(port, message),
            Arrival::Acknowledged { port, note } => self.acknowledged(port, *note),
            Arrival::InputTaken { port } => {
                self.state.taken.push(port);
                Ok(())
            }
            Arrival::OutputEnded { port: 0 } if !self.state.finished => {
                Err(self.lost("the call ended without a word that it finished".to_owned(), false))
            }
            Arrival::OutputEnded { .. } => {
                self.state.ended += 1;
                Ok(())
            }
            Arrival::Breach(what) => Err(self.error(StageFault::Contract(what))),
            Arrival::Lost(status) => Err(self.broken(&status)),
        }
    }

    fn message(&mut self, port: usize, message: FlightData) -> Result<(), StageError> {
        let decoded = self.decoders[port].decode(message);
        let breach = |what| StageFault::Contract(format!("output port {port}: {what}"));
        let Decoded { note, batch } = decoded.map_err(|what| self.error(breach(what)))?;
        if let Some(batch) = batch {
            self.emit(port, &batch)?;
        }
        self.say(note.step, note.log);
        if let Some(rows) = note.settled {
            self.outputs[port].settle(rows);
        }
        if let (0, Some(rows), Some(main)) = (port, note.consumed, self.invocation.main_input) {
            self.consume(main, rows)?;
        }
        self.release();
        if let Some(port) = note.holds.iter().find(|&&port| !self.may_hold(port)) {
            let what = format!("it says that it holds input port {port}, which was not given an identity");
            return Err(self.error(StageFault::Contract(what)));
        }
        self.state.held.extend(note.holds);
        self.state.opened |= note.opened;
        self.state.answers_boundaries |= note.boundaries;
        if note.boundary && !self.state.before_boundary.remove(&port) {
            return Err(self.error(StageFault::Contract(format!("output port {port} has no boundary to reach"))));
        }
        if note.unordered {
            self.outputs.iter_mut().for_each(Output::expect_no_order);
        }
        if note.finished {
            self.state.finished = true;
            self.between.iter_mut().zip(note.rows).for_each(|(between, rows)| between.gave(rows));
        }
        let last = self.stages.len() - 1;
        let step = note.step.map_or(last, |step| step.min(last));
        let fault = match (note.problem, note.failed) {
            (Some(problem), _) => {
                let Problem { message, help, .. } = problem.clone().into();
                let message = help.map_or(message.clone(), |help| format!("{message} ({help})"));
                // A stage that says so itself is ready for another invocation, unless something of this one is on its way.
                let is_whole = self.transport.memory.as_ref().is_none_or(|memory| memory.is_whole());
                self.say_printed();
                self.give_back(is_whole && self.outputs.len() == 1);
                StageFault::Problem { message, config_path: problem.config_path }
            }
            (None, Some(failure)) => fault(failure, &self.stages[step].limits),
            (None, None) => return Ok(()),
        };
        Err(self.error_of(step, fault, note.given))
    }

    fn emit(&mut self, port: usize, sent: &RecordBatch) -> Result<(), StageError> {
        let accepted = self.outputs[port].accept(sent, &self.pending);
        let batches = accepted.map_err(|what| self.error(StageFault::Contract(what)))?;
        // Rows that were emitted were consumed, of a stage that does not say so.
        if let Some((input, row)) = self.outputs[port].position()
            && Some(input) == self.invocation.main_input
        {
            self.consume(input, row)?;
        }
        let Some(outlet) = &mut self.outlet else { return Ok(()) };
        batches.into_iter().try_for_each(|batch| outlet.emit(port, batch))
    }

    fn consume(&mut self, input: usize, rows: u64) -> Result<(), StageError> {
        let consumed = self.inputs[input].credit.consume(rows);
        consumed.map_err(|what| self.error(StageFault::Contract(format!("input port {input}: {what}"))))
    }

    fn acknowledged(&mut self, port: usize, note: Note) -> Result<(), StageError> {
        self.say(note.step, note.log);
        note.consumed.map_or(Ok(()), |rows| self.consume(port, rows))
    }

    /// Whether the stage may say that it holds an input.
    fn may_hold(&self, port: usize) -> bool {
        !self.state.opened && self.inputs.get(port).is_some_and(|input| input.identity.is_some())
    }

    /// Keeps rows that outputs may refer to. They are held for the stage, so they count as its memory.
    fn keep(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.pending[port].push(batch);
        let held: u64 = self.pending.iter().map(Pending::bytes).sum();
        match self.invocation.limits.memory {
            Some(bytes) if held > bytes => Err(self.error(StageFault::Memory { bytes })),
            _ => Ok(()),
        }
    }

    /// Lets go of rows that no output refers to any more.
    fn release(&mut self) {
        for (input, pending) in self.pending.iter_mut().enumerate() {
            let positions = self.outputs.iter().filter_map(Output::position).filter(|(of, _)| *of == input);
            if let Some(before) = positions.map(|(_, row)| row).min() {
                pending.release(before);
            }
        }
    }

    fn say(&mut self, step: Option<usize>, lines: Vec<(String, String)>) {
        let Some(outlet) = &mut self.outlet else { return };
        let mut between = step.and_then(|step| self.between.get_mut(step));
        for (level, message) in lines {
            let message = shortened(message, LONGEST_LINE);
            self.lines += 1;
            let (level, message) = match self.lines.cmp(&LINES) {
                std::cmp::Ordering::Less => (level.as_str(), message.as_str()),
                std::cmp::Ordering::Equal => ("warn", "log limit reached (10000 lines); further lines dropped"),
                std::cmp::Ordering::Greater => return,
            };
            match &mut between {
                Some(between) => between.log(level, message),
                None => outlet.log(level, message),
            }
        }
    }

    /// What the program printed, which can't be told apart by stage.
    pub(crate) fn say_printed(&mut self) {
        let printed = self.program.as_mut().map_or_else(Vec::new, |program| program.printed());
        self.say(None, printed.into_iter().map(|line| ("info".to_owned(), line)).collect());
    }

    fn send(&mut self, port: usize, mut message: FlightData) -> Result<(), StageError> {
        loop {
            let Some(messages) = self.inputs[port].messages.clone() else { return Ok(()) };
            let start = Instant::now();
            match self.call.send(&messages, message, self.patience.left()) {
                Sent::Yes => return Ok(()),
                Sent::NotYet(unsent) => {
                    message = unsent.message;
                    self.arrived(unsent.arrival, start)?;
                }
            }
        }
    }

    /// Starts the stream of an input, if it did not start yet.
    fn start(&mut self, port: usize) -> Result<(), StageError> {
        if self.inputs[port].messages.is_none() && Some(port) != self.invocation.main_input {
            self.inputs[port].messages = Some(self.call.put(port));
        }
        match self.inputs[port].encoder.begin() {
            Some(schema) => self.send(port, schema),
            None => Ok(()),
        }
    }

    fn push_piece(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        let reads = &self.invocation.inputs[port].reads;
        let read = batch.project(self.inputs[port].encoder.schema().clone(), reads);
        let read = read.map_err(|error| self.error(StageFault::Contract(format!("its input: {error}"))))?;
        let (bytes, reads) = (bytes_of(read.columns()), &self.invocation.inputs[port].reads);
        let stored = self.transport.arrow_memory().and_then(|memory| StoredRun::of(&batch, reads, bytes, memory));
        if self.inputs[port].is_kept {
            self.keep(port, batch)?;
        }
        let waiting = self.inputs[port].stored.as_mut();
        if let (Some(waiting), Some(next)) = (waiting, &stored)
            && waiting.extend(next)
        {
            return Ok(());
        }
        self.flush(port)?;
        self.inputs[port].stored = stored;
        match self.inputs[port].stored {
            Some(_) => Ok(()),
            None => self.write(port, &read, bytes),
        }
    }

    fn write(&mut self, port: usize, batch: &RecordBatch, bytes: u64) -> Result<(), StageError> {
        self.await_credit(port, bytes)?;
        let encoded = self.inputs[port].encoder.encode(batch);
        let encoded = encoded.map_err(|error| self.unsent(port, batch.num_rows(), &error))?;
        self.inputs[port].credit.send(batch.num_rows() as u64, bytes);
        encoded.into_iter().try_for_each(|message| self.send(port, message))?;
        self.take_ready()
    }

    /// Sends what is stored and waits for company.
    fn flush(&mut self, port: usize) -> Result<(), StageError> {
        let Some(run) = self.inputs[port].stored.take() else { return Ok(()) };
        // They take no memory on their way, so what counts is that the stage has the next ones when it is done with these.
        let counted = run.bytes().min(WINDOW);
        self.await_credit(port, counted)?;
        let share = counted / run.rows().len() as u64;
        run.rows().iter().for_each(|rows| self.inputs[port].credit.send(*rows, share));
        self.send(port, run.message())?;
        self.take_ready()
    }

    /// Has the stage give all that it gives for the rows so far. One that does not answer boundaries is not waited for.
    fn reach_boundary(&mut self, main: usize) -> Result<(), StageError> {
        self.start(main)?;
        self.flush(main)?;
        while !self.state.opened {
            self.wait()?;
        }
        if !self.state.answers_boundaries {
            return self.take_ready();
        }
        self.state.before_boundary = (0..self.outputs.len()).collect();
        self.send(main, Note { boundary: true, ..Note::default() }.alone())?;
        while !self.state.before_boundary.is_empty() {
            self.wait()?;
        }
        Ok(())
    }

    fn await_credit(&mut self, port: usize, bytes: u64) -> Result<(), StageError> {
        while !self.inputs[port].credit.admits(bytes) {
            self.wait()?;
        }
        Ok(())
    }

    fn take_ready(&mut self) -> Result<(), StageError> {
        while let Some(arrival) = self.call.ready() {
            self.take(arrival)?;
        }
        Ok(())
    }

    fn give_back(&mut self, sound: bool) {
        if let Some(program) = self.program.take() {
            program.give_back(sound);
        }
    }
}

/// A name for an invocation that is not used twice, nor by other processes: a program may serve several of them.
fn new_name() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:016x}-{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Instance for FlightInstance {
    fn holds(&self, port: usize) -> bool {
        self.state.held.contains(&port)
    }

    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        self.start(port)?;
        let inputs = self.invocation.inputs.clone();
        batch.each_piece(&inputs[port].reads, PIECE_BYTES, &mut |piece| self.push_piece(port, piece))
    }

    fn boundary(&mut self) -> Result<(), StageError> {
        if let Some(main) = self.invocation.main_input.filter(|&main| self.inputs[main].messages.is_some()) {
            self.reach_boundary(main)?;
        }
        self.say_printed();
        self.lines = 0;
        self.patience.restart();
        self.outlet.as_mut().map_or(Ok(()), |outlet| outlet.boundary())
    }

    fn end_of_input(&mut self, port: usize) -> Result<(), StageError> {
        if self.holds(port) {
            return Ok(());
        }
        self.start(port)?;
        self.flush(port)?;
        self.inputs[port].messages = None;
        while Some(port) != self.invocation.main_input && !self.state.taken.contains(&port) {
            self.wait()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), StageError> {
        while self.state.ended < self.outputs.len() {
            self.wait()?;
        }
        let complete = self.outputs.iter().try_for_each(|output| output.check_complete(&self.pending));
        complete.map_err(|what| self.error(StageFault::Contract(what)))?;
        self.say_printed();
        self.give_back(true);
        self.outlet.take().map_or(Ok(()), |outlet| outlet.close())
    }
}

impl Drop for FlightInstance {
    fn drop(&mut self) {
        self.give_back(false);
    }
}
