//! Kernels that run one after the other over blocks of rows: which pieces a block is run in, how often it is tried, and what comes of it.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use flowc_kernel::{Contents, Numeric, Pass, Shader};
use flowc_planner::key::KeyHasher;
use flowc_planner::quantity::size;
use flowc_runner::{DeviceUse, Origin};

use crate::adapter::Adapter;
use crate::counted::Counted;
use crate::device::DeviceFault;
use crate::devices::Devices;
use crate::passage::Passage;
use crate::steps::{Block, BlockFault, Failed, Made, Step, Steps};
use crate::written;

/// How often a block is tried on another device where one is lost.
const TRIES: usize = 3;

/// Kernels that are ready for blocks. Between two of them columns stay on the device.
pub(crate) struct Work {
    devices: Arc<Devices>,
    adapter: Adapter,
    pub(crate) steps: Steps,
    /// What tells these kernels from others.
    key: [u8; 32],
    /// The modules of the steps; of several, the passes between them, too.
    shaders: Vec<([u8; 32], Arc<Shader>)>,
}

impl Work {
    pub(crate) fn new(devices: Arc<Devices>, adapter: Adapter, all: Vec<Step>, reads: Vec<usize>) -> Self {
        let mut hasher = KeyHasher::new("kernels");
        for step in &all {
            hasher.digest(&step.key);
        }
        let mut shaders: Vec<_> = all.iter().map(|step| (step.key, Arc::clone(&step.build.shader))).collect();
        let passes = passes(&all);
        shaders.extend(passes.iter().map(|pass| {
            let key = KeyHasher::new("kernel pass").number(*pass as u64).finish();
            (key, pass.shader())
        }));
        let used = RefCell::new(vec![DeviceUse::default(); all.len()]);
        let steps = Steps { all, reads, table: None, passes, used };
        Self { devices, adapter, key: hasher.finish(), steps, shaders }
    }

    pub(crate) fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    pub(crate) fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Runs a block. The first one of kernels whose numbers depend on the device is run twice, in pieces of another size, or where rows can't be
    /// cut, in the opposite order; so is each block with more than twice the rows of those that were.
    ///
    /// # Errors
    /// If a kernel is at fault in some row, or the device fails.
    pub(crate) fn run(&self, block: &Block, timeout: Option<Duration>) -> Result<Made, Failed> {
        let made = self.made(block, timeout)?;
        let on_device = self.steps.all.iter().rposition(|step| matches!(step.bound.numeric, Numeric::Device { .. }));
        if let Some(step) = on_device
            && !self.devices.is_compared(&self.key, block.rows)
        {
            if self.comparable(self.made_otherwise(block, timeout)?)? != self.comparable(made.clone())? {
                let fault = BlockFault::Stage(
                    "the kernel gave other bits for the same rows: its results depend on timing, or on how rows are \
                     grouped. Nothing is stored"
                        .to_owned(),
                );
                return Err(fault.in_step(step));
            }
            self.devices.note_compared(&self.key, block.rows);
        }
        Ok(made)
    }

    /// What was made, whatever pieces it was made in: counts of pieces are put together.
    fn comparable(&self, made: Made) -> Result<Made, Failed> {
        let last = self.steps.all.len() - 1;
        let Some(mut counted) = Counted::new(&self.steps.all[last].bound) else { return Ok(made) };
        let failed = |message: String| BlockFault::Stage(message).in_step(last);
        counted.add(&made.columns).map_err(failed)?;
        let columns = counted.partial().map_err(|error| failed(error.to_string()))?;
        Ok(Made { columns, ..made })
    }

    /// What should be the same, made in another way.
    fn made_otherwise(&self, block: &Block, timeout: Option<Duration>) -> Result<Made, Failed> {
        match self.steps.can_be_cut() && block.rows > 1 {
            true => self.made_in_halves(block, timeout),
            false => self.made(&Block { is_reversed: true, ..block.clone() }, timeout),
        }
    }

    fn made_in_halves(&self, block: &Block, timeout: Option<Duration>) -> Result<Made, Failed> {
        let (first, mut second) = block.halves();
        let made = self.made(&first, timeout)?;
        second.advance(&first, &made);
        let rest = self.made(&second, timeout)?;
        made.followed_by(&rest).map_err(|error| BlockFault::Stage(error.to_string()).in_step(self.steps.all.len() - 1))
    }

    /// What kernels make of a block. One that does not fit is halved, as far as rows can be.
    fn made(&self, block: &Block, timeout: Option<Duration>) -> Result<Made, Failed> {
        let can_halve = self.steps.can_be_cut() && block.rows > 1;
        let misfit = (0..self.steps.all.len()).find_map(|step| Some((step, self.does_not_fit(step, block)?)));
        let outcome = match misfit {
            Some(_) if can_halve => return self.made_in_halves(block, timeout),
            Some((step, what)) => return Err(BlockFault::Stage(what).in_step(step)),
            None => self.tried(block, timeout),
        };
        let is_out = |outcome: &Result<Made, Failed>| {
            matches!(outcome, Err(Failed { fault: BlockFault::Device(DeviceFault::Memory), .. }))
        };
        let outcome = match outcome {
            outcome if is_out(&outcome) && self.devices.make_room() => self.tried(block, timeout),
            other => other,
        };
        if is_out(&outcome) && can_halve { self.made_in_halves(block, timeout) } else { outcome }
    }

    /// Runs a block; on another device where one is lost.
    fn tried(&self, block: &Block, timeout: Option<Duration>) -> Result<Made, Failed> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(block, timeout) {
                Err(Failed { fault: BlockFault::Device(DeviceFault::Lost(_)), .. }) if tries < TRIES => {}
                other => return other,
            }
        }
    }

    fn once(&self, block: &Block, timeout: Option<Duration>) -> Result<Made, Failed> {
        let ready = self.devices.ready(&self.shaders).map_err(|(number, fault)| {
            // A pass is needed after a step, whichever that is.
            BlockFault::Device(fault).in_step(if number < self.steps.all.len() { number } else { 0 })
        })?;
        let table = self.steps.table.as_ref().map_or_else(Vec::new, |table| table.digests().collect());
        let _admitted = self.devices.admit(self.bytes(block), &table);
        let outcome = Passage::new(&self.steps, &self.devices, block, &ready, timeout).through();
        if let Err(Failed { fault: BlockFault::Device(DeviceFault::Lost(_) | DeviceFault::Timeout), .. }) = outcome {
            self.devices.lose(ready.number);
        }
        outcome
    }

    /// Bytes on the device, roughly. What is written is there twice: where it is written, and where it is read back or moved to.
    fn bytes(&self, block: &Block) -> u64 {
        let read: u64 = block.columns.iter().map(|column| flowc_runner::row_bytes(&**column)).sum();
        let rows = block.rows as u64;
        let written = |step: &Step| step.outputs().map(|contents| step.output_bytes(contents, rows)).sum::<u64>();
        let grouping = |step: &Step| step.grouping_bytes(rows);
        read + self.steps.all.iter().map(|step| 2 * written(step) + grouping(step)).sum::<u64>()
    }

    /// What of a block the adapter can't take for a step, in words.
    fn does_not_fit(&self, step: usize, block: &Block) -> Option<String> {
        let step = &self.steps.all[step];
        let (limits, workgroup) = (self.adapter.limits, step.build.shader.workgroup);
        if block.rows > limits.groups as usize * workgroup as usize {
            return Some(format!(
                "a block has {} rows, and `{}` takes {} workgroups of {workgroup}: give the kernel a larger `@workgroup_size`",
                block.rows, self.adapter.name, limits.groups,
            ));
        }
        let bytes = |contents: Contents| match contents {
            Contents::Input { column, .. } => match step.origin(column) {
                Origin::Input(column) => flowc_runner::row_bytes(&**self.steps.input(block, column)),
                written => block.rows as u64 * written::row_bytes(&self.steps.data_type(written, block)),
            },
            Contents::Output { .. } | Contents::Mask => step.output_bytes(contents, block.rows as u64),
            _ => 0,
        };
        let too_large = |what: String, bytes: u64, most: u64| {
            let ([bytes, most], name) = ([bytes, most].map(size), &self.adapter.name);
            format!("{what} has {bytes} in {} rows that go together, and `{name}` takes {most}", block.rows)
        };
        let large = step.build.buffers.iter().find(|contents| bytes(**contents) > limits.binding);
        if let Some(contents) = large {
            return Some(too_large(step.described(*contents), bytes(*contents), limits.binding));
        }
        // What is written is read back as one.
        let written: u64 = step.outputs().map(bytes).sum();
        (written > limits.buffer / 2).then(|| too_large("what is written".to_owned(), written, limits.buffer / 2))
    }
}

/// The passes that kernels need between them and before them.
fn passes(all: &[Step]) -> Vec<Pass> {
    let mut passes = Vec::new();
    if all.len() > 1 {
        passes.extend(Pass::BETWEEN);
    }
    if all.iter().any(|step| step.grouping_bytes(1) > 0) {
        passes.extend(Pass::GROUPING);
    }
    passes
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use arrow_array::UInt32Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::UInt32Type;
    use arrow_schema::{DataType, Field, Schema};
    use flowc_kernel::{Kernel, Source};
    use flowc_planner::plan::KernelColumns;

    use super::*;
    use crate::adapter::Sort;
    use crate::adapter::tests::adapter;
    use crate::device::{Device, Done, Filling, Held, Program, Queued};

    /// What happens at calls of the device, one after the other; then all is well.
    type Script = Arc<Mutex<VecDeque<Option<DeviceFault>>>>;

    /// A device that copies the first column that it is given, and counts what it is asked.
    #[derive(Clone, Default)]
    struct Copying {
        script: Script,
        opened: Arc<Mutex<usize>>,
        /// Rows of each dispatch.
        dispatched: Arc<Mutex<Vec<usize>>>,
        /// Added to the last value of each dispatch: what no kernel over rows may do.
        counts: bool,
    }

    impl Copying {
        fn next(&self) -> Result<(), DeviceFault> {
            self.script.lock().unwrap().pop_front().flatten().map_or(Ok(()), Err)
        }
    }

    impl Copying {
        fn of(held: &Held) -> &Mutex<Vec<u8>> {
            held.downcast_ref().unwrap()
        }
    }

    impl Device for Copying {
        fn compile(&self, _: &Arc<Shader>) -> Result<Arc<dyn Program>, DeviceFault> {
            self.next()?;
            Ok(Arc::new(self.clone()))
        }

        fn fill(&self, filling: &Filling<'_>) -> Result<Held, DeviceFault> {
            self.next()?;
            let bytes = match filling {
                Filling::Bytes(bytes) => bytes.to_vec(),
                Filling::Zeros(bytes) => vec![0; *bytes as usize],
                Filling::Ones(bytes) => vec![u8::MAX; *bytes as usize],
            };
            Ok(Arc::new(Mutex::new(bytes)))
        }

        fn run(&self, _: Vec<Queued>, buffers: &[Held], _: Option<Duration>) -> Result<Done, DeviceFault> {
            self.next()?;
            let read = buffers.iter().map(|held| Self::of(held).lock().unwrap().clone()).collect();
            Ok(Done { read, nanoseconds: None })
        }
    }

    impl Program for Copying {
        fn queue(&self, buffers: &[Held], _: [u32; 2]) -> Result<Queued, DeviceFault> {
            self.next()?;
            let column = Self::of(&buffers[1]).lock().unwrap();
            self.dispatched.lock().unwrap().push(column.len() / 4);
            let mut written = Self::of(&buffers[2]).lock().unwrap();
            written.copy_from_slice(&column);
            if self.counts {
                *written.iter_mut().nth_back(3).unwrap() += 1;
            }
            Ok(Box::new(()))
        }
    }

    fn work(device: &Copying, result: &str) -> Work {
        let text = format!("struct Out {{ y: {result} }}\nfn row(x: {result}) -> Out {{ return Out(x); }}\n");
        let kernel = Kernel::parse(Source::new("k.wgsl", &text)).unwrap();
        let data_type = if result == "f32" { DataType::Float32 } else { DataType::UInt32 };
        let schema = Schema::new(vec![Field::new("x", data_type, false)]);
        let bound = kernel.bind(&[&schema], &KernelColumns::default()).unwrap();
        let build = kernel.build(&bound, 1000);
        let (counted, opened) = (device.clone(), Arc::clone(&device.opened));
        let open = move |_: &Adapter| {
            *opened.lock().unwrap() += 1;
            counted.next()?;
            Ok(Arc::new(counted.clone()) as _)
        };
        let adapter = adapter("H200", Sort::Discrete);
        let devices = Devices::on(adapter.clone(), Box::new(open));
        let step = Step {
            stage: "stage".into(),
            bound,
            names: vec!["x".to_owned()],
            of_table: Vec::new(),
            least: 0,
            reads: vec![Origin::Input(0)],
            live: vec![Origin::Written { step: 0, column: 0 }],
            build,
            key: [7; 32],
            config: vec![0; 4],
        };
        Work::new(Arc::new(devices), adapter, vec![step], vec![0])
    }

    fn block(rows: u32) -> Block {
        let column = Arc::new(UInt32Array::from_iter_values(0..rows));
        Block { columns: vec![column], rows: rows as usize, firsts: vec![0], is_reversed: false }
    }

    fn values(made: &Made) -> Vec<u32> {
        made.columns[0].as_primitive::<UInt32Type>().values().to_vec()
    }

    fn scripted(faults: impl IntoIterator<Item = Option<DeviceFault>>) -> Copying {
        Copying { script: Arc::new(Mutex::new(faults.into_iter().collect())), ..Copying::default() }
    }

    fn lost() -> Option<DeviceFault> {
        Some(DeviceFault::Lost("it fell off the bus".to_owned()))
    }

    /// Opening, compiling, filling four buffers, queueing, running: each may lose the device.
    #[test]
    fn a_lost_device_is_followed_by_another_with_the_same_results() {
        for before in 0..8 {
            let device = scripted(vec![None; before].into_iter().chain([lost()]));
            let made = work(&device, "u32").run(&block(10), None).unwrap();
            assert_eq!(values(&made), (0..10).collect::<Vec<_>>());
            assert_eq!(*device.opened.lock().unwrap(), 2, "after {before} calls");
        }
        let device = scripted(vec![lost(); 9]);
        let fault = work(&device, "u32").run(&block(10), None).unwrap_err().fault;
        assert!(matches!(fault, BlockFault::Device(DeviceFault::Lost(_))), "{fault:?}");
        assert_eq!(*device.opened.lock().unwrap(), TRIES);
    }

    #[test]
    fn a_block_without_memory_is_halved_as_far_as_rows_can_be() {
        let memory = || Some(DeviceFault::Memory);
        // Opened, compiled, and two that fail.
        let device = scripted([None, None, memory(), memory()]);
        let made = work(&device, "u32").run(&block(12), None).unwrap();
        assert_eq!(values(&made), (0..12).collect::<Vec<_>>());
        assert_eq!(*device.dispatched.lock().unwrap(), [3, 3, 6]);
        let device = scripted([None, None].into_iter().chain(std::iter::repeat_with(memory).take(99)));
        let fault = work(&device, "u32").run(&block(12), None).unwrap_err().fault;
        assert!(matches!(fault, BlockFault::Device(DeviceFault::Memory)), "{fault:?}");
    }

    /// Whether a call took too long or memory did not do is not the fault of what comes next.
    #[test]
    fn a_fault_at_any_call_leaves_nothing_behind() {
        // The second call compiles: what takes too long there is not tried again.
        let slow = work(&scripted([None, Some(DeviceFault::Timeout)]), "u32");
        for _ in 0..2 {
            let fault = slow.run(&block(10), None).unwrap_err().fault;
            assert!(matches!(fault, BlockFault::Device(DeviceFault::Timeout)), "{fault:?}");
        }
        for before in (0..8).filter(|before| *before != 1) {
            let device = scripted(vec![None; before].into_iter().chain([Some(DeviceFault::Timeout)]));
            let work = work(&device, "u32");
            let fault = work.run(&block(10), None).unwrap_err().fault;
            assert!(matches!(fault, BlockFault::Device(DeviceFault::Timeout)), "after {before} calls: {fault:?}");
            assert_eq!(values(&work.run(&block(10), None).unwrap()), (0..10).collect::<Vec<_>>());
            let device = scripted(vec![None; before].into_iter().chain([Some(DeviceFault::Memory)]));
            let made = super::tests::work(&device, "u32").run(&block(10), None).unwrap();
            assert_eq!(values(&made), (0..10).collect::<Vec<_>>(), "without memory after {before} calls");
        }
    }

    #[test]
    fn what_a_driver_does_not_compile_is_not_tried_again() {
        let refused = || Some(DeviceFault::Refused("no".to_owned()));
        let device = scripted([None, refused()]);
        let work = work(&device, "u32");
        for _ in 0..2 {
            let fault = work.run(&block(1), None).unwrap_err().fault;
            assert!(matches!(fault, BlockFault::Device(DeviceFault::Refused(_))), "{fault:?}");
        }
        assert_eq!(*device.opened.lock().unwrap(), 1);
    }

    #[test]
    fn the_first_block_of_a_float_kernel_runs_twice_in_pieces_of_another_size() {
        let floats = |rows: u32| Block {
            columns: vec![Arc::new(arrow_array::Float32Array::from_iter_values((0..rows).map(|row| row as f32)))],
            ..block(rows)
        };
        let device = Copying::default();
        let first = work(&device, "f32");
        first.run(&floats(10), None).unwrap();
        first.run(&floats(20), None).unwrap();
        assert_eq!(*device.dispatched.lock().unwrap(), [10, 5, 5, 20]);
        first.run(&floats(21), None).unwrap();
        assert_eq!((*device.dispatched.lock().unwrap())[4..], [21, 10, 11], "a much larger one shows more");
        let grouped = Copying { counts: true, ..Copying::default() };
        let fault = work(&grouped, "f32").run(&floats(10), None).unwrap_err().fault;
        let BlockFault::Stage(message) = fault else { panic!("{fault:?}") };
        assert!(message.contains("other bits for the same rows"), "{message}");
        let exact = Copying { counts: true, ..Copying::default() };
        work(&exact, "u32").run(&block(10), None).unwrap();
        assert_eq!(*exact.dispatched.lock().unwrap(), [10], "what is proven is not run twice");
    }
}
