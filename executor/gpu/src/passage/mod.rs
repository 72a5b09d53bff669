//! A block on its way through kernels. Columns that one writes and another reads stay on the device, also where rows are left out in
//! between; what a later kernel sees of them is what it would see had they come back, bit for bit.

mod counting;
mod settling;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use arrow_array::{Array, ArrayRef, BooleanArray, new_empty_array};
use arrow_buffer::bit_util::set_bit;
use arrow_buffer::{BooleanBuffer, MutableBuffer, NullBuffer};
use arrow_schema::{ArrowError, DataType};
use flowc_kernel::{Contents, Part, Pass};
use flowc_runner::{DeviceUse, Origin};

use crate::device::{DeviceFault, Filling, Held, Queued};
use crate::devices::{Devices, Ready};
use crate::steps::{Block, BlockFault, Failed, Made, Step, Steps};
use crate::upload::{self, Unfit};
use crate::written::{self, Values};
use counting::Groups;

/// Bytes of what says which piece of a table is at hand.
const PIECE_BYTES: u64 = 12;

/// A block that goes through kernels.
pub(crate) struct Passage<'a> {
    steps: &'a Steps,
    devices: &'a Devices,
    block: &'a Block,
    ready: &'a Ready,
    timeout: Option<Duration>,
    /// The parts of columns that are on the device, in the form in which kernels read them.
    held: HashMap<(Origin, Part), Held>,
    /// What has not run yet, with the kernel that it is for.
    queued: Vec<(usize, Queued)>,
    /// The kernel whose turn it is.
    step: Cell<usize>,
    /// The buffers of faults that were not read yet.
    faults: Vec<(usize, Held)>,
    /// Which rows of the block are left, where some are not.
    kept: Option<BooleanBuffer>,
    rows: usize,
    given: Vec<u64>,
    /// The groups of the rows, where a kernel counts by them.
    groups: Option<Groups>,
}

/// What is read back.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Wanted {
    /// The faults of a step.
    Faults(usize),
    /// What the last step wrote, as it wrote it.
    Raw(Contents),
    /// A column that is held.
    Held(Origin, Part),
    /// A row of each group.
    Firsts,
}

impl From<DeviceFault> for BlockFault {
    fn from(fault: DeviceFault) -> Self {
        Self::Device(fault)
    }
}

impl From<ArrowError> for BlockFault {
    fn from(error: ArrowError) -> Self {
        Self::Stage(error.to_string())
    }
}

impl<'a> Passage<'a> {
    pub(crate) fn new(
        steps: &'a Steps,
        devices: &'a Devices,
        block: &'a Block,
        ready: &'a Ready,
        timeout: Option<Duration>,
    ) -> Self {
        let (held, queued, faults, given) = Default::default();
        let (rows, groups, step) = (block.rows, None, Cell::new(0));
        Self { steps, devices, block, ready, timeout, held, queued, step, faults, kept: None, rows, given, groups }
    }

    /// Takes the block through all kernels.
    ///
    /// # Errors
    /// If a kernel is at fault in some row, or the device fails.
    pub(crate) fn through(mut self) -> Result<Made, Failed> {
        let last = self.steps.all.len() - 1;
        for (number, step) in self.steps.all[..last].iter().enumerate() {
            let outputs = self.queue(number).map_err(|fault| fault.in_step(number))?;
            self.settle(number, &outputs).map_err(|fault| fault.in_step(number))?;
            match outputs.get(&Contents::Mask) {
                Some(mask) => self.pick(number, mask)?,
                None => self.held.retain(|(origin, _), _| step.live.contains(origin)),
            }
            self.given.push(self.rows as u64);
            if self.rows == 0 {
                return Ok(self.nothing());
            }
        }
        let outputs = self.queue(last).map_err(|fault| fault.in_step(last))?;
        self.end(outputs)
    }

    /// What comes of a block of which no row is left.
    fn nothing(mut self) -> Made {
        self.given.resize(self.steps.all.len(), 0);
        let empty = |origin: Origin| new_empty_array(&self.steps.data_type(origin, self.block));
        let columns = match self.steps.counting() {
            Some(partial) => partial.fields().iter().map(|field| new_empty_array(field.data_type())).collect(),
            None => self.results().map(empty).collect(),
        };
        Made { columns, mask: self.kept, given: self.given }
    }

    /// The written columns of the output.
    fn results(&self) -> impl Iterator<Item = Origin> + use<'a> {
        self.steps.all.last().into_iter().flat_map(|step| step.live.iter().copied())
    }

    /// Queues a kernel over the rows that are left. Gives the buffers that it writes.
    fn queue(&mut self, number: usize) -> Result<HashMap<Contents, Held>, BlockFault> {
        self.step.set(number);
        let step = &self.steps.all[number];
        let rows = u32::try_from(self.rows).map_err(|_| BlockFault::Stage("too many rows".to_owned()))?;
        let (mut buffers, mut outputs) = (Vec::new(), HashMap::new());
        self.groups = self.grouped(step)?;
        for contents in &step.build.buffers {
            let buffer = match contents {
                Contents::Input { column, part } => self.input(step, *column, *part)?,
                Contents::Table { .. } => self.of_table(contents)?,
                // Each piece has its own.
                Contents::Piece => self.fill(&Filling::Zeros(PIECE_BYTES))?,
                Contents::Batch => self.fill(&Filling::Bytes(&rows.to_le_bytes()))?,
                Contents::Config => self.fill(&Filling::Bytes(&step.config))?,
                Contents::Faults => self.no_faults(step)?,
                Contents::Group => self.groups.as_ref().map(|groups| groups.of_rows.clone()).ok_or_else(foreign)?,
                Contents::Output { output, .. } if step.bound.bins.is_some() => self.bins(step, *output)?,
                Contents::Output { .. } | Contents::Mask => {
                    self.fill(&Filling::Zeros(whole_words(u64::from(rows) * step.row_bytes(*contents))))?
                }
            };
            match contents {
                Contents::Faults => self.faults.push((number, buffer.clone())),
                Contents::Output { .. } | Contents::Mask => drop(outputs.insert(*contents, buffer.clone())),
                _ => {}
            }
            buffers.push(buffer);
        }
        let groups = [rows.div_ceil(step.build.shader.workgroup), 1];
        let piece = step.build.buffers.iter().position(|contents| *contents == Contents::Piece);
        let pieces = piece.zip(self.steps.table.as_ref()).map(|(binding, table)| (binding, table.pieces()));
        let Some((binding, pieces)) = pieces else {
            self.queued.push((number, self.ready.programs[number].queue(&buffers, groups)?));
            return Ok(outputs);
        };
        for words in pieces {
            buffers[binding] = self.fill(&Filling::Bytes(&words))?;
            self.queued.push((number, self.ready.programs[number].queue(&buffers, groups)?));
        }
        Ok(outputs)
    }

    /// A part of the table, which stays on the device.
    fn of_table(&self, contents: &Contents) -> Result<Held, BlockFault> {
        let content = self.steps.table.as_ref().and_then(|table| table.content(contents));
        let content = content.ok_or_else(|| BlockFault::Stage("the table was not handed over".to_owned()))?;
        let (held, up) = self.devices.resident(self.ready, &content.digest, &content.bytes)?;
        self.steps.note(self.step.get(), DeviceUse { up, ..DeviceUse::default() });
        Ok(held)
    }

    fn fill(&self, filling: &Filling<'_>) -> Result<Held, DeviceFault> {
        self.steps.note(self.step.get(), DeviceUse { up: filling.sent(), ..DeviceUse::default() });
        self.devices.traffic.fill(&*self.ready.device, filling)
    }

    /// A part of a column that a kernel reads.
    fn input(&mut self, step: &Step, column: usize, part: Part) -> Result<Held, BlockFault> {
        let origin = step.origin(column);
        if let Some(held) = self.held.get(&(origin, part)) {
            return Ok(held.clone());
        }
        let bytes = match origin {
            Origin::Input(of) => {
                let array = self.host(of)?;
                upload::part(&array, part).map_err(|unfit| self.unfit(step, unfit, column))?
            }
            // Values are held; nobody said that some are null.
            Origin::Written { .. } => upload::all_valid(self.rows),
        };
        let held = self.fill(&Filling::Bytes(&bytes))?;
        self.held.insert((origin, part), held.clone());
        Ok(held)
    }

    /// A column of the input, with the rows that are left.
    fn host(&self, column: usize) -> Result<ArrayRef, ArrowError> {
        let array = self.steps.input(self.block, column);
        match &self.kept {
            Some(kept) => arrow_select::filter::filter(array, &BooleanArray::new(kept.clone(), None)),
            None => Ok(array.clone()),
        }
    }

    fn unfit(&self, step: &Step, unfit: Unfit, column: usize) -> BlockFault {
        let name = step.name(column);
        BlockFault::Stage(match unfit {
            Unfit::NullInList(row) => {
                let number = self.given.len();
                let row = self.block.firsts[number] + row as u64 + 1;
                format!(
                    "in row {row} a value in the list `{name}` is null; a kernel can be given null lists, not such values"
                )
            }
            Unfit::Texts => {
                format!("the texts of `{name}` have more than 4 GiB in a segment, which a kernel can't be given")
            }
        })
    }

    /// The bitmap of a column that a kernel reads, if it has nulls.
    fn validity(&mut self, step: &Step, column: usize) -> Result<Option<Held>, BlockFault> {
        match step.origin(column) {
            Origin::Input(of) if self.steps.input(self.block, of).null_count() == 0 => Ok(None),
            Origin::Input(_) => self.input(step, column, Part::Validity).map(Some),
            written => Ok(self.held.get(&(written, Part::Validity)).cloned()),
        }
    }

    /// The words of faults, before there are any; and in which order invocations are to run.
    fn no_faults(&mut self, step: &Step) -> Result<Held, BlockFault> {
        let words = step.build.fault_words();
        if !(self.block.is_reversed && step.build.is_reversible) {
            return Ok(self.fill(&Filling::Ones(4 * words as u64))?);
        }
        let mut bytes = vec![u8::MAX; 4 * words];
        bytes[4 * (words - 1)..].fill(0);
        Ok(self.fill(&Filling::Bytes(&bytes))?)
    }

    /// Queues a pass over buffers and some numbers.
    fn queue_pass(&mut self, pass: Pass, buffers: &[&Held], numbers: &[u32], items: u32) -> Result<(), DeviceFault> {
        let place = self.steps.passes.iter().position(|other| *other == pass).ok_or_else(unknown_pass)?;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut buffers: Vec<Held> = buffers.iter().map(|held| (*held).clone()).collect();
        buffers.push(self.fill(&Filling::Bytes(&bytes))?);
        let program = &self.ready.programs[self.steps.all.len() + place];
        self.queued.push((self.step.get(), program.queue(&buffers, Pass::groups(items))?));
        Ok(())
    }

    /// Leaves out the rows that a kernel did not keep.
    fn pick(&mut self, number: usize, mask: &Held) -> Result<(), Failed> {
        let here = |fault: BlockFault| fault.in_step(number);
        let rows = self.rows;
        let bits = self.packed(mask, rows).map_err(here)?;
        let faults = std::mem::take(&mut self.faults);
        let buffers: Vec<Held> = std::iter::once(&bits).chain(faults.iter().map(|(_, held)| held)).cloned().collect();
        let mut read = self.run(&buffers).map_err(|fault| here(fault.into()))?.into_iter();
        let mask = read.next().unwrap_or_default();
        faults.iter().zip(read).try_for_each(|((step, _), words)| self.check(*step, &words))?;
        let mask = written::bits(&mask, self.rows);
        self.compact(number, &bits, &mask).map_err(here)?;
        self.rows = mask.count_set_bits();
        self.kept = Some(match &self.kept {
            Some(kept) => narrowed(kept, &mask),
            None => mask,
        });
        Ok(())
    }

    /// Runs what is queued, and reads buffers.
    fn run(&mut self, buffers: &[Held]) -> Result<Vec<Vec<u8>>, DeviceFault> {
        let (of, queued): (Vec<usize>, Vec<Queued>) = std::mem::take(&mut self.queued).into_iter().unzip();
        let started = Instant::now();
        let done = self.devices.traffic.run(&*self.ready.device, queued, buffers, self.timeout)?;
        let is_waited = done.nanoseconds.is_none();
        // Nobody knows which of them took how long: each has an equal part.
        let equal = started.elapsed().as_nanos() as u64 / of.len().max(1) as u64;
        let times = done.nanoseconds.unwrap_or_else(|| vec![equal; of.len()]);
        for (step, nanoseconds) in of.into_iter().zip(times) {
            self.steps.note(step, DeviceUse { nanoseconds, is_waited, ..DeviceUse::default() });
        }
        let down = done.read.iter().map(|bytes| bytes.len() as u64).sum();
        self.steps.note(self.step.get(), DeviceUse { down, ..DeviceUse::default() });
        Ok(done.read)
    }

    /// Fails if a row is at fault.
    fn check(&self, step: usize, faults: &[u8]) -> Result<(), Failed> {
        let words: Vec<u32> = faults.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let Some((row, site)) = self.steps.all[step].build.fault(&words) else { return Ok(()) };
        let row = self.block.firsts[step] + u64::from(row);
        Err(BlockFault::At(row, site.diagnostic(row + 1)).in_step(step))
    }

    /// Moves the rows together that are kept, of all columns that are needed later. Texts are sent again where they are read.
    fn compact(&mut self, number: usize, bits: &Held, mask: &BooleanBuffer) -> Result<(), BlockFault> {
        let live: HashSet<Origin> = self.steps.all[number].live.iter().copied().collect();
        let is_moved =
            |(origin, part): &(Origin, Part)| live.contains(origin) && matches!(part, Part::Values | Part::Validity);
        self.held.retain(|held, _| is_moved(held));
        let kept = mask.count_set_bits();
        if kept == self.rows || kept == 0 {
            return Ok(());
        }
        let before = self.fill(&Filling::Bytes(&before_words(mask)))?;
        for ((origin, part), held) in std::mem::take(&mut self.held) {
            let data_type = self.steps.data_type(origin, self.block);
            let values = match part {
                Part::Validity => Values { item: &DataType::Boolean, count: 1 },
                _ => Values::of(&data_type),
            };
            let moved = self.moved([bits, &before, &held], &values, kept)?;
            self.held.insert((origin, part), moved);
        }
        Ok(())
    }

    fn moved(
        &mut self,
        [bits, before, from]: [&Held; 3],
        values: &Values<'_>,
        kept: usize,
    ) -> Result<Held, BlockFault> {
        let width = values.bits();
        let to_bytes = (kept as u64 * u64::from(values.count) * u64::from(width)).div_ceil(8);
        let to = self.fill(&Filling::Zeros(whole_words(to_bytes)))?;
        let rows = self.rows as u32;
        if width.is_multiple_of(32) {
            let words = values.count * width / 32;
            self.queue_pass(Pass::Keep, &[bits, before, from, &to], &[rows * words, words], rows * words)?;
        } else {
            let numbers = [rows * values.count, values.count, width];
            self.queue_pass(Pass::KeepNarrow, &[bits, before, from, &to], &numbers, rows * values.count)?;
        }
        Ok(to)
    }

    /// Reads back what the last kernel wrote, and what earlier ones wrote for the output.
    fn end(mut self, outputs: HashMap<Contents, Held>) -> Result<Made, Failed> {
        let last = self.steps.all.len() - 1;
        let step = &self.steps.all[last];
        let mut wanted: Vec<(Wanted, Held)> =
            self.faults.drain(..).map(|(step, held)| (Wanted::Faults(step), held)).collect();
        wanted.extend(outputs.into_iter().map(|(contents, held)| (Wanted::Raw(contents), held)));
        wanted.extend(self.firsts().map(|held| (Wanted::Firsts, held)));
        let null_with = step.bound.written.iter().flat_map(|written| &written.null_with);
        let nulls: HashSet<Origin> = null_with.map(|column| step.origin(*column)).collect();
        for ((origin, part), held) in &self.held {
            let is_written = matches!(origin, Origin::Written { .. }) && step.bound.bins.is_none();
            if is_written && (step.live.contains(origin) || (*part == Part::Validity && nulls.contains(origin))) {
                wanted.push((Wanted::Held(*origin, *part), held.clone()));
            }
        }
        let (names, buffers): (Vec<Wanted>, Vec<Held>) = wanted.into_iter().unzip();
        let read = self.run(&buffers).map_err(|fault| BlockFault::from(fault).in_step(last))?;
        let read: HashMap<Wanted, Vec<u8>> = names.iter().copied().zip(read).collect();
        for name in names {
            if let Wanted::Faults(step) = name {
                self.check(step, &read[&name])?;
            }
        }
        self.assembled(&read).map_err(|fault| fault.in_step(last))
    }

    fn assembled(mut self, read: &HashMap<Wanted, Vec<u8>>) -> Result<Made, BlockFault> {
        if self.steps.counting().is_some() {
            return self.counted(read);
        }
        let last = self.steps.all.len() - 1;
        let columns = self.results().map(|origin| match origin {
            Origin::Written { step, column } if step == last => self.raw(column, read),
            origin => self.intermediate(origin, read),
        });
        let mut columns = columns.collect::<Result<Vec<_>, _>>()?;
        if let Some(words) = read.get(&Wanted::Raw(Contents::Mask)) {
            let mask = written::flags(words, self.rows);
            let picked = BooleanArray::new(mask.clone(), None);
            columns =
                columns.iter().map(|column| arrow_select::filter::filter(column, &picked)).collect::<Result<_, _>>()?;
            self.rows = mask.count_set_bits();
            self.kept = Some(self.kept.as_ref().map_or_else(|| mask.clone(), |kept| narrowed(kept, &mask)));
        }
        self.given.push(self.rows as u64);
        Ok(Made { columns, mask: self.kept, given: self.given })
    }

    /// A column that the last kernel wrote.
    fn raw(&self, output: usize, read: &HashMap<Wanted, Vec<u8>>) -> Result<ArrayRef, BlockFault> {
        let step = &self.steps.all[self.steps.all.len() - 1];
        let of = &step.bound.written[output];
        let part = |part: Part| read.get(&Wanted::Raw(Contents::Output { output, part }));
        let mut nulls = part(Part::Validity).map(|words| NullBuffer::new(written::flags(words, self.rows)));
        for column in &of.null_with {
            let others = match step.origin(*column) {
                Origin::Input(column) => self.host(column)?.nulls().cloned(),
                origin => self.nulls(origin, read),
            };
            nulls = NullBuffer::union(nulls.as_ref(), others.as_ref());
        }
        let values = part(Part::Values).cloned().unwrap_or_default();
        let column = written::column(of.field.data_type(), values, self.rows, nulls);
        let wrong = |error: String| BlockFault::Stage(format!("the column `{}` {error}", of.field.name()));
        let column = column.map_err(|error| wrong(format!("is not valid: {error}")))?;
        flowc_arrays::check_values(&column.to_data()).map_err(|fault| wrong(format!("is not valid: {fault}")))?;
        Ok(column)
    }

    /// A column that an earlier kernel wrote.
    fn intermediate(&self, origin: Origin, read: &HashMap<Wanted, Vec<u8>>) -> Result<ArrayRef, BlockFault> {
        let values = read.get(&Wanted::Held(origin, Part::Values)).map_or(&[][..], Vec::as_slice);
        let data_type = self.steps.data_type(origin, self.block);
        Ok(written::settled(&data_type, values, self.rows, self.nulls(origin, read))?)
    }

    fn nulls(&self, origin: Origin, read: &HashMap<Wanted, Vec<u8>>) -> Option<NullBuffer> {
        let bits = read.get(&Wanted::Held(origin, Part::Validity))?;
        Some(NullBuffer::new(written::bits(bits, self.rows)))
    }
}

fn foreign() -> BlockFault {
    BlockFault::Stage("the kernel asks for groups that nobody made".to_owned())
}

fn unknown_pass() -> DeviceFault {
    DeviceFault::Refused("a pass was not compiled".to_owned())
}

fn whole_words(bytes: u64) -> u64 {
    bytes.next_multiple_of(4).max(4)
}

fn bitmap_bytes(values: usize) -> u64 {
    whole_words(values.div_ceil(8) as u64)
}

/// How many rows are kept before each 32 of them, in words.
fn before_words(mask: &BooleanBuffer) -> Vec<u8> {
    let mut before = 0u32;
    let counts = (0..mask.len()).step_by(32).map(|start| {
        let count = before;
        before += mask.slice(start, 32.min(mask.len() - start)).count_set_bits() as u32;
        count
    });
    counts.flat_map(u32::to_le_bytes).collect()
}

/// The rows of `kept` that a mask over these keeps.
fn narrowed(kept: &BooleanBuffer, mask: &BooleanBuffer) -> BooleanBuffer {
    let mut narrowed = MutableBuffer::from_len_zeroed(kept.len().div_ceil(8));
    for (place, row) in kept.set_indices().enumerate() {
        if mask.value(place) {
            set_bit(&mut narrowed, row);
        }
    }
    BooleanBuffer::new(narrowed.into(), 0, kept.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_over_rows_that_are_left_is_one_over_all() {
        let kept = BooleanBuffer::from(vec![true, false, true, true, false]);
        let mask = BooleanBuffer::from(vec![false, true, true]);
        assert_eq!(narrowed(&kept, &mask), BooleanBuffer::from(vec![false, false, true, true, false]));
    }

    #[test]
    fn rows_are_counted_before_each_word_of_a_mask() {
        let mask = BooleanBuffer::collect_bool(70, |row| row % 2 == 0);
        let words: Vec<u8> = [0u32, 16, 32].iter().flat_map(|count| count.to_le_bytes()).collect();
        assert_eq!(before_words(&mask), words);
    }
}
