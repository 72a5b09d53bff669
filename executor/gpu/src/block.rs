//! A block of rows through a kernel: what its buffers begin with, running it, and the columns that come of it.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, BooleanArray};
use arrow_buffer::{Buffer, NullBuffer};
use flowc_kernel::{Bound, Build, Contents, Diagnostic, Numeric, Part};
use flowc_planner::plan::Class;
use flowc_planner::quantity::size;

use crate::adapter::Adapter;
use crate::device::{DeviceFault, Dispatch, Filling};
use crate::devices::{Devices, Ready};
use crate::upload::{self, Unfit};
use crate::written;

/// How often a block is tried on another device where one is lost.
const TRIES: usize = 3;

/// A kernel that is ready for blocks.
pub(crate) struct Work {
    pub(crate) devices: Arc<Devices>,
    pub(crate) adapter: Adapter,
    pub(crate) bound: Bound,
    /// The names of the columns that it reads.
    pub(crate) names: Vec<String>,
    pub(crate) build: Arc<Build>,
    /// What tells the build from others.
    pub(crate) key: [u8; 32],
    pub(crate) config: Vec<u8>,
}

/// Rows for a kernel.
#[derive(Clone)]
pub(crate) struct Block {
    /// The columns that it reads, in the order of [`Bound::reads`].
    pub(crate) columns: Vec<ArrayRef>,
    pub(crate) rows: usize,
    /// The number of its first row, for messages.
    pub(crate) first: u64,
}

/// What a kernel makes of a block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    /// The written columns, in the order of [`Bound::written`].
    pub(crate) columns: Vec<ArrayRef>,
    /// The rows that are kept, where the kernel picks some.
    pub(crate) mask: Option<BooleanArray>,
}

/// Why nothing was made of a block.
#[derive(Debug)]
pub(crate) enum BlockFault {
    /// The kernel or its data.
    At(u64, Diagnostic),
    /// The same, in words.
    Stage(String),
    /// The device.
    Device(DeviceFault),
}

/// What a kernel wrote: of each buffer that it writes, so many bytes for each row.
struct Raw {
    parts: Vec<Vec<u8>>,
}

impl Work {
    /// Runs a block. The first one of a kernel whose numbers depend on the device is run twice, in pieces of another size.
    ///
    /// # Errors
    /// If the kernel is at fault in some row, or the device fails.
    pub(crate) fn run(&self, block: &Block, timeout: Option<Duration>) -> Result<Made, BlockFault> {
        let made = self.made(block, self.raw(block, timeout)?)?;
        if matches!(self.bound.numeric, Numeric::Device { .. }) && !self.devices.is_compared(&self.key) {
            let again = self.made(block, self.raw_in_halves(block, timeout)?)?;
            if again != made {
                return Err(BlockFault::Stage(
                    "the kernel gave other bits for the same rows: its results depend on timing, or on how rows are \
                     grouped. Nothing is stored"
                        .to_owned(),
                ));
            }
            self.devices.note_compared(&self.key);
        }
        Ok(made)
    }

    fn is_row_wise(&self) -> bool {
        self.bound.class == Class::RowWise
    }

    fn raw_in_halves(&self, block: &Block, timeout: Option<Duration>) -> Result<Raw, BlockFault> {
        if !self.is_row_wise() || block.rows < 2 {
            return self.raw(block, timeout);
        }
        let (first, second) = block.halves();
        let mut raw = self.raw(&first, timeout)?;
        raw.append(self.raw(&second, timeout)?);
        Ok(raw)
    }

    /// What the kernel writes. A block that does not fit is halved, as far as rows can be.
    fn raw(&self, block: &Block, timeout: Option<Duration>) -> Result<Raw, BlockFault> {
        let can_halve = self.is_row_wise() && block.rows > 1;
        let outcome = match self.does_not_fit(block) {
            Some(_) if can_halve => return self.raw_in_halves(block, timeout),
            Some(what) => return Err(BlockFault::Stage(what)),
            None => self.tried(block, timeout),
        };
        match outcome {
            Err(BlockFault::Device(DeviceFault::Memory)) if can_halve => self.raw_in_halves(block, timeout),
            other => other,
        }
    }

    /// Runs a block; on another device where one is lost.
    fn tried(&self, block: &Block, timeout: Option<Duration>) -> Result<Raw, BlockFault> {
        let inputs = self.inputs(block)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = match self.devices.ready(&self.key, &self.build) {
                Ok(ready) => self.dispatched(&ready, block, &inputs, timeout),
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok(results) => return self.checked(block, results),
                Err(DeviceFault::Lost(_)) if tries < TRIES => {}
                Err(fault) => return Err(BlockFault::Device(fault)),
            }
        }
    }

    fn dispatched(
        &self,
        ready: &Ready,
        block: &Block,
        inputs: &[Option<Buffer>],
        timeout: Option<Duration>,
    ) -> Result<Vec<Vec<u8>>, DeviceFault> {
        let rows = (block.rows as u32).to_le_bytes();
        let buffers = self.build.buffers.iter().zip(inputs).map(|(buffer, input)| match (buffer.contents, input) {
            (_, Some(bytes)) => Filling::Bytes(bytes),
            (Contents::Batch, _) => Filling::Bytes(&rows),
            (Contents::Config, _) => Filling::Bytes(&self.config),
            (Contents::Faults, _) => Filling::Ones(4 * self.build.sites.len().max(1) as u64),
            (contents, _) => Filling::Zeros(whole_words(block.rows as u64 * self.row_bytes(contents))),
        });
        let buffers: Vec<Filling<'_>> = buffers.collect();
        // What is written is there twice: where it is written, and where it is read back.
        let bytes = buffers.iter().map(|filling| match filling {
            Filling::Bytes(bytes) => bytes.len() as u64,
            written => 2 * written.bytes(),
        });
        let _admitted = self.devices.admit(bytes.sum());
        let groups = (block.rows as u32).div_ceil(self.build.workgroup);
        let outcome = ready.program.run(&Dispatch { buffers: &buffers, groups, timeout });
        if matches!(outcome, Err(DeviceFault::Lost(_) | DeviceFault::Timeout)) {
            self.devices.lose(ready.device);
        }
        outcome
    }

    /// The buffers of inputs; none in the place of others.
    fn inputs(&self, block: &Block) -> Result<Vec<Option<Buffer>>, BlockFault> {
        let input = |contents: Contents| match contents {
            Contents::Input { column, part } => {
                let array = block.column(&self.bound, column);
                upload::part(array, part).map(Some).map_err(|unfit| self.unfit(unfit, column, block))
            }
            _ => Ok(None),
        };
        self.build.buffers.iter().map(|buffer| input(buffer.contents)).collect()
    }

    fn unfit(&self, unfit: Unfit, column: usize, block: &Block) -> BlockFault {
        let name = self.name(column);
        BlockFault::Stage(match unfit {
            Unfit::NullInList(row) => {
                let row = block.first + row as u64 + 1;
                format!(
                    "in row {row} a value in the list `{name}` is null; a kernel can be given null lists, not such values"
                )
            }
            Unfit::Texts => {
                format!("the texts of `{name}` have more than 4 GiB in a segment, which a kernel can't be given")
            }
        })
    }

    /// The name of a column of the input.
    fn name(&self, column: usize) -> String {
        let place = self.bound.reads.iter().position(|read| *read == column).unwrap_or_default();
        self.names.get(place).cloned().unwrap_or_default()
    }

    /// What of a block the adapter can't take, in words.
    fn does_not_fit(&self, block: &Block) -> Option<String> {
        let limits = self.adapter.limits;
        if block.rows > limits.groups as usize * self.build.workgroup as usize {
            return Some(format!(
                "a block has {} rows, and `{}` takes {} workgroups of {}: give the kernel a larger `@workgroup_size`",
                block.rows, self.adapter.name, limits.groups, self.build.workgroup
            ));
        }
        let bytes = |contents: Contents| match contents {
            Contents::Input { column, .. } => flowc_runner::row_bytes(&**block.column(&self.bound, column)),
            Contents::Output { .. } | Contents::Mask => block.rows as u64 * self.row_bytes(contents),
            _ => 0,
        };
        let too_large = |what: String, bytes: u64, most: u64| {
            let ([bytes, most], name) = ([bytes, most].map(size), &self.adapter.name);
            format!("{what} has {bytes} in {} rows that go together, and `{name}` takes {most}", block.rows)
        };
        let large = self.build.buffers.iter().find(|buffer| bytes(buffer.contents) > limits.binding);
        if let Some(buffer) = large {
            let what = self.described(buffer.contents);
            return Some(too_large(what, bytes(buffer.contents), limits.binding));
        }
        // What is written is read back as one.
        let written: u64 = self.outputs().map(bytes).sum();
        (written > limits.buffer / 2).then(|| too_large("what is written".to_owned(), written, limits.buffer / 2))
    }

    fn described(&self, contents: Contents) -> String {
        match contents {
            Contents::Input { column, .. } => format!("column `{}`", self.name(column)),
            Contents::Output { output, .. } => format!("column `{}`", self.bound.written[output].field.name()),
            _ => "the mask".to_owned(),
        }
    }

    /// Bytes that a row has in a buffer that is written.
    fn row_bytes(&self, contents: Contents) -> u64 {
        match contents {
            Contents::Output { output, part: Part::Values } => {
                written::row_bytes(self.bound.written[output].field.data_type())
            }
            _ => 4,
        }
    }

    /// The buffers that are written, but for faults.
    fn outputs(&self) -> impl Iterator<Item = Contents> + '_ {
        let contents = self.build.buffers.iter().map(|buffer| buffer.contents);
        contents.filter(|contents| matches!(contents, Contents::Output { .. } | Contents::Mask))
    }

    /// What was written, if no row is at fault. The buffer of faults is the last one.
    fn checked(&self, block: &Block, mut results: Vec<Vec<u8>>) -> Result<Raw, BlockFault> {
        let faults = results.pop().unwrap_or_default();
        let words: Vec<u32> = faults.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        if let Some((row, site)) = self.build.fault(&words) {
            let row = block.first + u64::from(row);
            return Err(BlockFault::At(row, site.diagnostic(row + 1)));
        }
        for (part, contents) in results.iter_mut().zip(self.outputs()) {
            part.truncate(block.rows * self.row_bytes(contents) as usize);
        }
        Ok(Raw { parts: results })
    }

    fn made(&self, block: &Block, raw: Raw) -> Result<Made, BlockFault> {
        let rows = block.rows;
        let mut values: Vec<Option<Vec<u8>>> = vec![None; self.bound.written.len()];
        let mut validity: Vec<Option<NullBuffer>> = vec![None; self.bound.written.len()];
        let mut mask = None;
        for (contents, part) in self.outputs().zip(raw.parts) {
            match contents {
                Contents::Output { output, part: Part::Values } => values[output] = Some(part),
                Contents::Output { output, .. } => {
                    validity[output] = Some(NullBuffer::new(written::flags(&part, rows)));
                }
                _ => mask = Some(BooleanArray::new(written::flags(&part, rows), None)),
            }
        }
        let column = |(output, (values, validity)): (usize, (Option<Vec<u8>>, Option<NullBuffer>))| {
            let of = &self.bound.written[output];
            let inputs = of.null_with.iter().map(|column| block.column(&self.bound, *column).nulls());
            let nulls = inputs.fold(validity, |nulls, of| NullBuffer::union(nulls.as_ref(), of));
            let column = written::column(of.field.data_type(), values.unwrap_or_default(), rows, nulls);
            let wrong = |error: String| BlockFault::Stage(format!("the column `{}` {error}", of.field.name()));
            let column = column.map_err(|error| wrong(format!("is not valid: {error}")))?;
            flowc_arrays::check_values(&column.to_data()).map_err(|fault| wrong(format!("is not valid: {fault}")))?;
            Ok(column)
        };
        let columns = values.into_iter().zip(validity).enumerate().map(column).collect::<Result<_, _>>()?;
        Ok(Made { columns, mask })
    }
}

fn whole_words(bytes: u64) -> u64 {
    bytes.next_multiple_of(4).max(4)
}

impl Raw {
    /// Adds what was written for the rows after it.
    fn append(&mut self, other: Self) {
        self.parts.iter_mut().zip(other.parts).for_each(|(part, mut other)| part.append(&mut other));
    }
}

impl Block {
    fn halves(&self) -> (Self, Self) {
        let half = self.rows / 2;
        let part = |start: usize, rows: usize| Self {
            columns: self.columns.iter().map(|column| column.slice(start, rows)).collect(),
            rows,
            first: self.first + start as u64,
        };
        (part(0, half), part(half, self.rows - half))
    }

    /// A column that the kernel reads, by its number in the input.
    fn column(&self, bound: &Bound, column: usize) -> &ArrayRef {
        let place = bound.reads.binary_search(&column).expect("a kernel reads what it is bound to");
        &self.columns[place]
    }
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
    use crate::device::{Device, Program};

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

    impl Device for Copying {
        fn compile(&self, _: &Arc<Build>) -> Result<Arc<dyn Program>, DeviceFault> {
            self.next()?;
            Ok(Arc::new(self.clone()))
        }
    }

    impl Program for Copying {
        fn run(&self, dispatch: &Dispatch<'_>) -> Result<Vec<Vec<u8>>, DeviceFault> {
            self.next()?;
            let Filling::Bytes(column) = dispatch.buffers[1] else { panic!("a column") };
            self.dispatched.lock().unwrap().push(column.len() / 4);
            let written = dispatch.buffers.iter().filter_map(|filling| match filling {
                Filling::Bytes(_) => None,
                Filling::Zeros(bytes) => {
                    let mut copy = column[..*bytes as usize].to_vec();
                    if self.counts {
                        copy[*bytes as usize - 4] += 1;
                    }
                    Some(copy)
                }
                Filling::Ones(bytes) => Some(vec![u8::MAX; *bytes as usize]),
            });
            Ok(written.collect())
        }
    }

    fn work(device: &Copying, result: &str) -> Work {
        let text = format!("struct Out {{ y: {result} }}\nfn row(x: {result}) -> Out {{ return Out(x); }}\n");
        let kernel = Kernel::parse(Source::new("k.wgsl", &text)).unwrap();
        let data_type = if result == "f32" { DataType::Float32 } else { DataType::UInt32 };
        let schema = Schema::new(vec![Field::new("x", data_type, false)]);
        let bound = kernel.bind(&schema, &KernelColumns::default()).unwrap();
        let build = Arc::new(kernel.build(&bound, 1000));
        let (counted, opened) = (device.clone(), Arc::clone(&device.opened));
        let open = move |_: &Adapter| {
            *opened.lock().unwrap() += 1;
            counted.next()?;
            Ok(Arc::new(counted.clone()) as _)
        };
        let adapter = adapter("H200", Sort::Discrete);
        let devices = Arc::new(Devices::on(adapter.clone(), Box::new(open)));
        let names = vec!["x".to_owned()];
        Work { devices, adapter, bound, names, build, key: [7; 32], config: vec![0; 4] }
    }

    fn block(rows: u32) -> Block {
        Block { columns: vec![Arc::new(UInt32Array::from_iter_values(0..rows))], rows: rows as usize, first: 0 }
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

    /// Opening, compiling, running: each may lose the device.
    #[test]
    fn a_lost_device_is_followed_by_another_with_the_same_results() {
        for before in 0..3 {
            let device = scripted(vec![None; before].into_iter().chain([lost()]));
            let made = work(&device, "u32").run(&block(10), None).unwrap();
            assert_eq!(values(&made), (0..10).collect::<Vec<_>>());
            assert_eq!(*device.opened.lock().unwrap(), 2, "after {before} calls");
        }
        let device = scripted(vec![lost(); 9]);
        let fault = work(&device, "u32").run(&block(10), None).unwrap_err();
        assert!(matches!(fault, BlockFault::Device(DeviceFault::Lost(_))), "{fault:?}");
        assert_eq!(*device.opened.lock().unwrap(), TRIES);
    }

    #[test]
    fn a_block_without_memory_is_halved_as_far_as_rows_can_be() {
        let memory = || Some(DeviceFault::Memory);
        // Opened, compiled, and two runs that fail.
        let device = scripted([None, None, memory(), memory()]);
        let made = work(&device, "u32").run(&block(12), None).unwrap();
        assert_eq!(values(&made), (0..12).collect::<Vec<_>>());
        assert_eq!(*device.dispatched.lock().unwrap(), [3, 3, 6]);
        let device = scripted([None, None].into_iter().chain(std::iter::repeat_with(memory).take(99)));
        let fault = work(&device, "u32").run(&block(12), None).unwrap_err();
        assert!(matches!(fault, BlockFault::Device(DeviceFault::Memory)), "{fault:?}");
    }

    #[test]
    fn what_a_driver_does_not_compile_is_not_tried_again() {
        let refused = || Some(DeviceFault::Refused("no".to_owned()));
        let device = scripted([None, refused()]);
        let work = work(&device, "u32");
        for _ in 0..2 {
            let fault = work.run(&block(1), None).unwrap_err();
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
        first.run(&floats(10), None).unwrap();
        assert_eq!(*device.dispatched.lock().unwrap(), [10, 5, 5, 10]);
        let grouped = Copying { counts: true, ..Copying::default() };
        let fault = work(&grouped, "f32").run(&floats(10), None).unwrap_err();
        let BlockFault::Stage(message) = fault else { panic!("{fault:?}") };
        assert!(message.contains("other bits for the same rows"), "{message}");
        let exact = Copying { counts: true, ..Copying::default() };
        work(&exact, "u32").run(&block(10), None).unwrap();
        assert_eq!(*exact.dispatched.lock().unwrap(), [10], "what is proven is not run twice");
    }
}
