//! What an instance's store holds: its ports, its handles, its outlet and its limits.

use arrow_array::ArrayRef;
use arrow_buffer::Buffer;
use flowc_arrays::{Node, Trust, flatten, rebuild};
use flowc_runner::{Batch, Invocation, Outlet, StageError};

use crate::budget::Budget;
use crate::clock::Clock;
use crate::contract::ArraysOut;
use crate::fault::Stop;
use crate::handles::Handles;
use crate::held::{Finished, Held, Rows, check_rows};
use crate::log::Log;
use crate::ports::{Output, Ports};
use crate::wasi::Wasi;

/// The host's side of one instance.
pub(crate) struct Host {
    pub(crate) ports: Ports,
    pub(crate) handles: Handles,
    pub(crate) budget: Budget,
    pub(crate) log: Log,
    pub(crate) clock: Option<Clock>,
    /// None at plan time, and after the end.
    pub(crate) outlet: Option<Box<dyn Outlet>>,
    /// What the outlet failed with: the call that stopped for it gives it back as it is.
    pub(crate) outlet_error: Option<StageError>,
    pub(crate) wasi: Option<Box<Wasi>>,
}

/// Columns that a guest gave, copied out of its memory.
pub(crate) struct Written {
    pub(crate) nodes: Vec<Node>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) variadic_counts: Vec<u32>,
    /// The schema message that states their types, where the contract has it.
    pub(crate) types: Option<Vec<u8>>,
    /// Bytes of all this.
    pub(crate) memory: usize,
}

impl Host {
    /// For questions at plan time: no ports, no outlet.
    pub(crate) fn at_plan_time() -> Self {
        Self {
            ports: Ports::default(),
            handles: Handles::default(),
            budget: Budget::new(None),
            log: Log::default(),
            clock: None,
            outlet: None,
            outlet_error: None,
            wasi: None,
        }
    }

    pub(crate) fn for_invocation(invocation: &Invocation, outlet: Box<dyn Outlet>) -> Self {
        Self {
            ports: Ports::new(invocation),
            budget: Budget::new(invocation.limits.memory),
            clock: invocation.limits.timeout_ms.map(Clock::new),
            outlet: Some(outlet),
            ..Self::at_plan_time()
        }
    }

    /// A handle to a pushed batch.
    pub(crate) fn pushed(&mut self, port: usize, batch: Batch) -> Result<u32, Stop> {
        check_rows(batch.rows() as u64)?;
        let missing = || Stop::contract(format!("there is no input port {port}"));
        let first = self.ports.inputs.get_mut(port).ok_or_else(missing)?.count(&batch);
        let lease = self.handles.leases.start();
        self.hold(Held::Input(Rows::pushed(port, lease, batch, first)))
    }

    /// The call that pushed a batch is over: what the guest keeps of it counts as its memory.
    pub(crate) fn end_push(&mut self, batch: &Batch) -> Result<(), Stop> {
        self.handles.leases.end(batch, &mut self.budget)
    }

    pub(crate) fn hold(&mut self, held: Held) -> Result<u32, Stop> {
        self.handles.insert(held, &mut self.budget)
    }

    /// Columns of the rows behind a handle.
    pub(crate) fn read(&mut self, number: u32, columns: &[u32]) -> Result<ArraysOut, Stop> {
        let rows = self.handles.get_mut(number)?.input()?;
        let input = &self.ports.inputs[rows.port];
        let room = self.budget.room();
        let read = |column: usize| {
            let name = input.column_name(column);
            rows.column(column, room)?
                .ok_or_else(|| Stop::contract(format!("column `{name}` is read, which was not handed over")))
        };
        let columns = input.reads(columns)?;
        let arrays = columns.iter().copied().map(read).collect::<Result<Vec<_>, _>>()?;
        input.check_types(&columns, &arrays)?;
        self.handles.settle(number, &mut self.budget)?;
        let flat = flatten(&arrays).map_err(|error| Stop::contract(format!("columns can't be read: {error}")))?;
        Ok(flat.into())
    }

    /// A batch of an output from rows of an input.
    pub(crate) fn derive(&mut self, number: u32, port: u32, written: Written) -> Result<u32, Stop> {
        let output = self.ports.output_mut(port)?;
        let rows = self.handles.get_mut(number)?.input()?;
        let memory = written.memory;
        let arrays = written.arrays(output, rows.rows())?;
        let finished = output.derive(rows, arrays, memory, &self.budget)?;
        self.handles.settle(number, &mut self.budget)?;
        self.hold(Held::Output(finished))
    }

    /// A batch of an output, of the stage's own making.
    pub(crate) fn make(&mut self, port: u32, rows: u64, written: Written) -> Result<u32, Stop> {
        check_rows(rows)?;
        let output = self.ports.output_mut(port)?;
        let memory = written.memory;
        let arrays = written.arrays(output, rows as usize)?;
        let finished = output.make(rows as usize, arrays, memory)?;
        self.hold(Held::Output(finished))
    }

    /// Hands a batch to the outlet.
    pub(crate) fn emit(&mut self, port: u32, number: u32) -> Result<(), Stop> {
        let finished = self.finished(port, number)?;
        self.ports.count(&finished)?;
        let outlet = self.outlet.as_mut().ok_or_else(|| Stop::contract("nothing can be emitted now"))?;
        outlet.emit(finished.port, finished.batch).map_err(|error| {
            self.outlet_error = Some(error);
            Stop::Outlet
        })
    }

    fn finished(&mut self, port: u32, number: u32) -> Result<Finished, Stop> {
        let output = self.ports.output(port)?;
        match self.handles.remove(number, &mut self.budget)? {
            Held::Output(finished) if finished.port == port as usize => Ok(finished),
            Held::Output(finished) => {
                let made = finished.port;
                Err(Stop::contract(format!("a batch made for output port {made} is emitted on output port {port}")))
            }
            Held::Input(_) if !output.written.is_empty() => Err(Stop::contract(format!(
                "a batch of an input is emitted on output port {port}, but column `{}` of it is to be written",
                output.written[0].name()
            ))),
            Held::Input(mut rows) => output.derive(&mut rows, Vec::new(), 0, &self.budget),
        }
    }

    /// Time and lines of the log count anew, and the outlet is told.
    pub(crate) fn boundary(&mut self) -> Result<(), StageError> {
        self.log.restart();
        self.clock.iter_mut().for_each(Clock::restart);
        self.outlet.as_mut().map_or(Ok(()), |outlet| outlet.boundary())
    }

    /// Passes a line of the log on.
    pub(crate) fn log(&mut self, level: &str, message: &str) {
        self.log.line(self.outlet.as_mut(), level, message);
    }

    /// Passes on what was written to standard output and error by way of WASI.
    pub(crate) fn drain_wasi(&mut self) {
        let Some(wasi) = &self.wasi else { return };
        for line in wasi.take_lines() {
            self.log.line(self.outlet.as_mut(), "info", &line);
        }
    }
}

impl Written {
    /// Checked arrays of the columns that an output port has written.
    fn arrays(self, output: &mut Output, rows: usize) -> Result<Vec<ArrayRef>, Stop> {
        let Self { nodes, buffers, variadic_counts, types, .. } = self;
        if let Some(types) = types {
            output.check_types(types)?;
        }
        rebuild(&output.written, &nodes, buffers, &variadic_counts, rows, Trust::Checked)
            .map_err(|error| output.says(error))
    }
}
