//! A running instance.

use std::sync::Arc;

use flowc_planner::plan::Limits;
use flowc_runner::{Batch, InputPort, Instance, Invocation, Outlet, PIECE_BYTES, StageError, StageFault};
use wasmtime::component::{Resource, TypedFunc};
use wasmtime::{Store, Trap};

use crate::component::Loaded;
use crate::contract::{WirePhase, WireProblem};
use crate::fault::fault;
use crate::handles::HANDLE;
use crate::held::Held;
use crate::host::Host;
use flowc_runner::schema;

/// What an export answers that gives nothing but a problem.
type Answer = (Result<(), WireProblem>,);
type Open<'a> = (&'a str, &'a [Vec<u8>], WirePhase, u64);

/// A stage's instance with its store.
pub(crate) struct WasmInstance {
    guest: Guest,
    inputs: Arc<[InputPort]>,
    push: TypedFunc<(u32, Resource<Held>), Answer>,
    end_of_input: TypedFunc<(u32,), Answer>,
    finish: TypedFunc<(), Answer>,
}

/// A store, and how calls into it end.
pub(crate) struct Guest {
    pub(crate) store: Store<Host>,
    stage: Arc<str>,
}

impl WasmInstance {
    /// Instantiates and opens.
    pub(crate) fn open(loaded: &Loaded, invocation: &Invocation, outlet: Box<dyn Outlet>) -> Result<Self, StageError> {
        let host = Host::for_invocation(invocation, outlet);
        let mut guest = Guest::new(loaded, host, invocation.stage.clone());
        let exports = &loaded.exports;
        let (open, instance) = guest.call(|store| {
            let instance = loaded.pre.instantiate(&mut *store)?;
            let open = instance.get_typed_func::<Open<'_>, Answer>(&mut *store, &exports.open)?;
            let push = instance.get_typed_func(&mut *store, exports.push)?;
            let end_of_input = instance.get_typed_func(&mut *store, exports.end_of_input)?;
            let finish = instance.get_typed_func(&mut *store, exports.finish)?;
            Ok((open, (push, end_of_input, finish)))
        })?;
        let schemas = schemas(invocation).map_err(|fault| guest.error(fault))?;
        let (config, phase) = (&*invocation.config, WirePhase::from(invocation.phase));
        guest.ask(|store| open.call(store, (config, &schemas, phase, invocation.part)))?;
        let (push, end_of_input, finish) = instance;
        Ok(Self { guest, inputs: invocation.inputs.clone(), push, end_of_input, finish })
    }
}

impl WasmInstance {
    fn push_piece(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        let push = &self.push;
        self.guest.ask(|store| {
            let number = store.data_mut().pushed(port, batch.clone())?;
            let answer = push.call(&mut *store, (port as u32, Resource::new_own(number)))?;
            store.data_mut().end_push(&batch)?;
            Ok(answer)
        })
    }
}

/// The schemas of the inputs as the stage sees them: the columns that it reads.
fn schemas(invocation: &Invocation) -> Result<Vec<Vec<u8>>, StageFault> {
    let failed = |error| StageFault::Contract(format!("the schema of an input can't be handed over: {error}"));
    let encode = |input: &InputPort| schema::encode(&input.schema.project(&input.reads)?);
    invocation.inputs.iter().map(encode).collect::<Result<_, _>>().map_err(failed)
}

impl Instance for WasmInstance {
    fn push(&mut self, port: usize, batch: Batch) -> Result<(), StageError> {
        let inputs = self.inputs.clone();
        batch.each_piece(&inputs[port].reads, PIECE_BYTES, &mut |piece| self.push_piece(port, piece))
    }

    /// Calls come back when all is emitted, so nothing is held here.
    fn boundary(&mut self) -> Result<(), StageError> {
        self.guest.store.data_mut().boundary()
    }

    fn end_of_input(&mut self, port: usize) -> Result<(), StageError> {
        let end_of_input = &self.end_of_input;
        self.guest.ask(|store| end_of_input.call(store, (port as u32,)))
    }

    fn finish(self: Box<Self>) -> Result<(), StageError> {
        let Self { mut guest, finish, .. } = *self;
        guest.ask(|store| finish.call(store, ()))?;
        let complete = guest.store.data().ports.check_complete();
        complete.map_err(|what| guest.error(StageFault::Contract(what)))?;
        match guest.store.data_mut().outlet.take() {
            Some(outlet) => outlet.close(),
            None => Ok(()),
        }
    }
}

impl Guest {
    pub(crate) fn new(loaded: &Loaded, host: Host, stage: Arc<str>) -> Self {
        let mut store = Store::new(loaded.pre.engine(), host);
        store.limiter(|host| &mut host.budget);
        // Lifting lists takes host memory; what a guest may hold is bounded by its budget, so the same bound serves.
        let limit = usize::try_from(store.data().budget.limit()).unwrap_or(usize::MAX);
        store.set_hostcall_fuel(limit.max(1 << 20));
        // Handles are charged to the budget, which is to run out first.
        store.set_max_component_handles(limit / HANDLE + 1024);
        Self { store, stage }
    }

    /// Calls an export that may answer with a problem.
    fn ask(&mut self, call: impl FnOnce(&mut Store<Host>) -> wasmtime::Result<Answer>) -> Result<(), StageError> {
        let (answer,) = self.call(call)?;
        answer.map_err(|problem| {
            let WireProblem { message, config_path, help } = problem;
            let message = help.map_or(message.clone(), |help| format!("{message} ({help})"));
            self.error(StageFault::Problem { message, config_path })
        })
    }

    /// Runs something in the store, under the clock.
    pub(crate) fn call<T>(
        &mut self,
        call: impl FnOnce(&mut Store<Host>) -> wasmtime::Result<T>,
    ) -> Result<T, StageError> {
        if let Some(ticks) = self.store.data_mut().clock.as_mut().map(|clock| clock.start()) {
            self.store.set_epoch_deadline(ticks);
        }
        let outcome = call(&mut self.store);
        let host = self.store.data_mut();
        if let Some(clock) = &mut host.clock {
            clock.stop();
        }
        host.drain_wasi();
        let complaint = host.log.take_complaint();
        outcome.map_err(|error| self.explain(&error, complaint)).and_then(|value| self.in_time(value))
    }

    fn in_time<T>(&self, value: T) -> Result<T, StageError> {
        match &self.store.data().clock {
            Some(clock) if clock.is_over() => {
                Err(self.error(StageFault::Timeout { milliseconds: clock.milliseconds() }))
            }
            _ => Ok(value),
        }
    }

    fn explain(&mut self, error: &wasmtime::Error, complaint: Option<String>) -> StageError {
        let host = self.store.data_mut();
        if let Some(error) = host.outlet_error.take() {
            return error;
        }
        let milliseconds = host.clock.as_ref().map(|clock| clock.milliseconds());
        let limit = host.budget.limit();
        match (error.downcast_ref::<Trap>(), milliseconds) {
            (Some(Trap::Interrupt), Some(milliseconds)) => self.error(StageFault::Timeout { milliseconds }),
            _ => self.error(fault(error, complaint, limit)),
        }
    }

    fn error(&self, fault: StageFault) -> StageError {
        StageError::new(&*self.stage, fault)
    }
}

/// Whether a stage needs the interruptible engine.
pub(crate) fn needs_interrupts(limits: &Limits) -> bool {
    limits.timeout_ms.is_some()
}
