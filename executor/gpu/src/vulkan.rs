//! Devices through wgpu. Each call is within error scopes: what is not caught there would end the process.

use std::borrow::Cow;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flowc_kernel::{Access, Shader};

use crate::adapter::{Adapter, Sort};
use crate::device::{Device, DeviceFault, Done, Filling, Held, Program, Queued};
use crate::probe::{self, wait};
use crate::staging::Staging;

/// How long a driver may compile a module.
const COMPILE: Duration = Duration::from_secs(60);

/// How long a wait for a device goes on until it is asked whether another thread has given the device up.
const LOOK: Duration = Duration::from_millis(100);

/// A device of wgpu.
struct Opened {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// Why it was lost, once it was.
    lost: Arc<OnceLock<String>>,
    /// Whether it measures how long modules run.
    is_timed: bool,
    staging: Staging,
}

/// A run of a module that waits for its turn.
struct Command {
    buffer: wgpu::CommandBuffer,
    /// When it begins and ends, once it has run.
    times: Option<wgpu::QuerySet>,
}

/// What is read after commands, and where.
struct ReadBack {
    buffer: wgpu::Buffer,
    /// How much of it is read.
    size: u64,
    parts: Vec<(usize, usize)>,
    /// Where the times of each command are: its begin and its end.
    times: Option<Vec<usize>>,
    submission: wgpu::SubmissionIndex,
}

/// A shared device.
struct Shared(Arc<Opened>);

/// A compiled module.
struct Compiled {
    opened: Arc<Opened>,
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
}

/// Opens a device of an adapter.
///
/// # Errors
/// If the adapter is not there, or its driver refuses.
pub(crate) fn open(adapter: &Adapter) -> Result<Arc<dyn Device>, DeviceFault> {
    // The clock of a CPU driver is the processor's, which tells as much.
    Ok(Arc::new(opened(adapter, adapter.sort != Sort::Cpu)?))
}

/// Opens a device, which measures how long modules run where that is wanted and its driver can.
fn opened(adapter: &Adapter, is_timed: bool) -> Result<Shared, DeviceFault> {
    let found = probe::open().into_iter().find(|(_, found)| found.identity == adapter.identity);
    let (opened, _) = found.ok_or_else(|| DeviceFault::Lost(format!("`{}` is not there any more", adapter.name)))?;
    let mut wanted = wgpu::Features::SHADER_INT64 | wgpu::Features::SHADER_F16 | wgpu::Features::SUBGROUP;
    if is_timed {
        wanted |= wgpu::Features::TIMESTAMP_QUERY;
    }
    let descriptor = wgpu::DeviceDescriptor {
        required_features: opened.features() & wanted,
        required_limits: opened.limits(),
        ..wgpu::DeviceDescriptor::default()
    };
    let refused = |error: wgpu::RequestDeviceError| DeviceFault::Lost(format!("it can't be opened: {error}"));
    let (device, queue) = wait(opened.request_device(&descriptor)).map_err(refused)?;
    let lost = Arc::new(OnceLock::new());
    let (by_driver, by_error) = (Arc::clone(&lost), Arc::clone(&lost));
    device.set_device_lost_callback(move |_, message| drop(by_driver.set(message)));
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| drop(by_error.set(error.to_string()))));
    let is_timed = device.features().contains(wgpu::Features::TIMESTAMP_QUERY);
    Ok(Shared(Arc::new(Opened { device, queue, lost, is_timed, staging: Staging::default() })))
}

impl Opened {
    /// Calls wgpu, and gives what went wrong with it.
    fn scoped<T>(&self, call: impl FnOnce() -> T) -> Result<T, DeviceFault> {
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let value = call();
        let errors = [wait(validation.pop()), wait(memory.pop()), wait(internal.pop())];
        self.check()?;
        match errors.into_iter().flatten().next() {
            None => Ok(value),
            Some(wgpu::Error::OutOfMemory { .. }) => Err(DeviceFault::Memory),
            Some(error) => Err(DeviceFault::Refused(error.to_string())),
        }
    }

    fn check(&self) -> Result<(), DeviceFault> {
        self.lost.get().map_or(Ok(()), |why| Err(DeviceFault::Lost(why.clone())))
    }

    /// Waits until a submission is done. A device that takes longer is given up, for all that use it.
    fn wait(
        self: &Arc<Self>,
        submission: &wgpu::SubmissionIndex,
        timeout: Option<Duration>,
    ) -> Result<(), DeviceFault> {
        let begun = Instant::now();
        loop {
            let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            let look = left.map_or(LOOK, |left| left.min(LOOK));
            let wait = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(look) };
            match self.scoped(|| self.device.poll(wait))? {
                Ok(_) => return Ok(()),
                Err(wgpu::PollError::Timeout) if left.is_some_and(|left| left <= look) => {
                    self.give_up();
                    return Err(DeviceFault::Timeout);
                }
                Err(wgpu::PollError::Timeout) => {}
                Err(error) => return Err(DeviceFault::Lost(error.to_string())),
            }
        }
    }

    /// Leaves the device to what it is doing. Nobody can stop that, and wgpu lets go of a queue only when it is idle: so a thread of its
    /// own holds the device until then.
    fn give_up(self: &Arc<Self>) {
        let _ = self.lost.set("a kernel on it took longer than it may".to_owned());
        let opened = Arc::clone(self);
        let hold = move || drop(opened.device.poll(wgpu::PollType::wait_indefinitely()));
        if std::thread::Builder::new().name("leave a device".to_owned()).spawn(hold).is_err() {
            // Without a thread it is held until the process ends.
            std::mem::forget(Arc::clone(self));
        }
    }

    fn compiled(self: &Arc<Self>, shader: &Shader) -> Result<Compiled, DeviceFault> {
        let entries = (0..).zip(&shader.access).map(|(binding, access)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: binding_type(*access),
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        });
        let entries: Vec<_> = entries.collect();
        let source = wgpu::ShaderSource::Naga(Cow::Owned(shader.module.clone()));
        let (layout, pipeline) = self.scoped(|| {
            let device = &self.device;
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
            let layout =
                device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: None,
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            });
            (layout, pipeline)
        })?;
        Ok(Compiled { opened: Arc::clone(self), pipeline, layout })
    }
}

fn binding_type(access: Access) -> wgpu::BufferBindingType {
    match access {
        Access::Uniform => wgpu::BufferBindingType::Uniform,
        Access::Read => wgpu::BufferBindingType::Storage { read_only: true },
        Access::Write => wgpu::BufferBindingType::Storage { read_only: false },
    }
}

impl Device for Shared {
    /// A driver may compile for ever, or crash. So a thread of its own does it, and is left behind where it does not end.
    fn compile(&self, shader: &Arc<Shader>) -> Result<Arc<dyn Program>, DeviceFault> {
        let (sender, receiver) = sync_channel(1);
        let (opened, shader) = (Arc::clone(&self.0), Arc::clone(shader));
        let compile = move || drop(sender.send(opened.compiled(&shader)));
        let started = std::thread::Builder::new().name("compile a kernel".to_owned()).spawn(compile);
        started.map_err(|error| DeviceFault::Refused(format!("no thread can be started: {error}")))?;
        match receiver.recv_timeout(COMPILE) {
            Ok(compiled) => Ok(Arc::new(compiled?)),
            Err(RecvTimeoutError::Timeout) => Err(DeviceFault::Timeout),
            Err(RecvTimeoutError::Disconnected) => Err(DeviceFault::Refused("its driver panicked".to_owned())),
        }
    }

    fn fill(&self, filling: &Filling<'_>) -> Result<Held, DeviceFault> {
        Ok(Arc::new(self.0.scoped(|| self.0.buffer(filling))??))
    }

    fn run(&self, queued: Vec<Queued>, buffers: &[Held], timeout: Option<Duration>) -> Result<Done, DeviceFault> {
        let opened = &self.0;
        opened.check()?;
        let buffers = own(buffers)?;
        let commands = queued.into_iter().map(|queued| queued.downcast::<Command>().map(|command| *command));
        let commands = commands.collect::<Result<_, _>>().map_err(|_| foreign())?;
        let read_back = opened.scoped(|| opened.submit(commands, &buffers))?;
        let ReadBack { buffer: read_back, size, parts, times, submission } = read_back;
        let (sender, receiver) = sync_channel(1);
        opened.scoped(|| {
            read_back.slice(..size).map_async(wgpu::MapMode::Read, move |result| {
                // Whoever does not wait any more has failed already.
                let _ = sender.send(result.is_ok());
            });
        })?;
        opened.wait(&submission, timeout)?;
        let lost = |what: &str| DeviceFault::Lost(what.to_owned());
        // Another thread that polls may be the one that tells.
        if !receiver.recv_timeout(COMPILE).unwrap_or(false) {
            return Err(lost("its results can't be read"));
        }
        let view = opened.scoped(|| read_back.slice(..size).get_mapped_range())?;
        let view = view.map_err(|error| lost(&error.to_string()))?;
        let read = parts.iter().map(|(start, bytes)| view[*start..start + bytes].to_vec()).collect();
        let ticks = |at: usize| view[at..at + 8].as_chunks::<8>().0.first().map_or(0, |tick| u64::from_le_bytes(*tick));
        let period = f64::from(opened.queue.get_timestamp_period());
        let nanoseconds = |at: &usize| (ticks(at + 8).saturating_sub(ticks(*at)) as f64 * period) as u64;
        let nanoseconds = times.map(|times| times.iter().map(nanoseconds).collect());
        drop(view);
        opened.scoped(|| opened.staging.read(read_back))?;
        Ok(Done { read, nanoseconds })
    }
}

/// The buffers of wgpu. A buffer of another sort is another device's.
fn own(buffers: &[Held]) -> Result<Vec<&wgpu::Buffer>, DeviceFault> {
    let own = buffers.iter().map(|held| held.downcast_ref::<wgpu::Buffer>());
    own.collect::<Option<_>>().ok_or_else(foreign)
}

fn foreign() -> DeviceFault {
    DeviceFault::Refused("something of another device was handed over".to_owned())
}

/// Bytes of the times of a command, which are resolved at multiples of that.
const TIMES_BYTES: u64 = wgpu::QUERY_RESOLVE_BUFFER_ALIGNMENT;

/// Bytes to which parts of a buffer that is read back are aligned.
const ALIGNED: u64 = 16;

impl Opened {
    fn buffer(&self, filling: &Filling<'_>) -> Result<wgpu::Buffer, DeviceFault> {
        let usage = wgpu::BufferUsages::UNIFORM
            | wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let size = filling.bytes();
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer(&descriptor);
        let write = |bytes: &[u8]| self.staging.write(&self.device, &self.queue, &buffer, bytes);
        let written = match filling {
            Filling::Bytes(bytes) => write(bytes),
            Filling::Ones(bytes) => write(&vec![u8::MAX; *bytes as usize]),
            // wgpu fills new buffers with zeros before a kernel sees them.
            Filling::Zeros(_) => Ok(()),
        };
        // A buffer that could not be made can't be mapped, which the error scope tells of.
        self.check()?;
        written.map_err(|error| DeviceFault::Refused(error.to_string()))?;
        Ok(buffer)
    }

    /// Submits commands, and copies buffers into one that is read after them. Gives that, with their places in it.
    fn submit(&self, commands: Vec<Command>, buffers: &[&wgpu::Buffer]) -> ReadBack {
        let of_times = self.is_timed.then_some(commands.len() as u64 * TIMES_BYTES);
        let size: u64 = buffers.iter().map(|buffer| buffer.size().next_multiple_of(ALIGNED)).sum();
        let size = (size + of_times.unwrap_or(0)).max(ALIGNED);
        let read_back = self.staging.to_read(&self.device, size);
        let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (mut parts, mut start) = (Vec::new(), 0);
        for buffer in buffers {
            encoder.copy_buffer_to_buffer(buffer, 0, &read_back, start, buffer.size());
            parts.push((start as usize, buffer.size() as usize));
            start += buffer.size().next_multiple_of(ALIGNED);
        }
        let times = of_times.filter(|bytes| *bytes > 0).map(|bytes| {
            let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
            let descriptor = wgpu::BufferDescriptor { label: None, size: bytes, usage, mapped_at_creation: false };
            let resolved = self.device.create_buffer(&descriptor);
            for (at, command) in (0..).step_by(TIMES_BYTES as usize).zip(&commands) {
                if let Some(times) = &command.times {
                    encoder.resolve_query_set(times, 0..2, &resolved, at);
                }
            }
            encoder.copy_buffer_to_buffer(&resolved, 0, &read_back, start, bytes);
            (start as usize..).step_by(TIMES_BYTES as usize).take(commands.len()).collect()
        });
        let last = encoder.finish();
        let submission = self.queue.submit(commands.into_iter().map(|command| command.buffer).chain([last]));
        let times = times.or_else(|| self.is_timed.then(Vec::new));
        ReadBack { buffer: read_back, size, parts, times, submission }
    }
}

impl Program for Compiled {
    fn queue(&self, buffers: &[Held], [along_x, along_y]: [u32; 2]) -> Result<Queued, DeviceFault> {
        let buffers = own(buffers)?;
        let device = &self.opened.device;
        self.opened.scoped(|| {
            let entries = (0..)
                .zip(buffers)
                .map(|(binding, buffer)| wgpu::BindGroupEntry { binding, resource: buffer.as_entire_binding() });
            let entries: Vec<_> = entries.collect();
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &self.layout,
                entries: &entries,
            });
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let times = self.opened.is_timed.then(|| {
                let ty = wgpu::QueryType::Timestamp;
                device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty, count: 2 })
            });
            let writes = times.as_ref().map(|query_set| wgpu::ComputePassTimestampWrites {
                query_set,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            });
            {
                let mut pass =
                    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: None, timestamp_writes: writes });
                pass.set_pipeline(&self.pipeline);
                pass.set_bind_group(0, &group, &[]);
                pass.dispatch_workgroups(along_x, along_y, 1);
            }
            Box::new(Command { buffer: encoder.finish(), times }) as Queued
        })
    }
}

#[cfg(test)]
mod tests {
    use flowc_kernel::Pass;

    use super::*;
    use crate::device::Filling;
    use crate::driver::with_driver;

    fn cpu(is_timed: bool) -> Shared {
        let (_, adapter) = probe::open().into_iter().find(|(_, adapter)| adapter.sort == Sort::Cpu).unwrap();
        opened(&adapter, is_timed).unwrap()
    }

    /// Packs so many words of ones, a few times. Gives what the last run is told to have taken, and its words.
    fn packed(device: &Shared, words: u32, times: usize) -> (Option<Vec<u64>>, Vec<u8>) {
        let program = device.compile(&Pass::Pack.shader()).unwrap();
        let bits = u64::from(words.div_ceil(32)) * 4;
        let [all, to, count] = [
            Filling::Bytes(&1u32.to_le_bytes().repeat(words as usize)),
            Filling::Zeros(bits),
            Filling::Bytes(&words.to_le_bytes()),
        ]
        .map(|filling| device.fill(&filling).unwrap());
        let run =
            || program.queue(&[all.clone(), to.clone(), count.clone()], Pass::groups(words.div_ceil(32))).unwrap();
        let done = device.run((0..times).map(|_| run()).collect(), std::slice::from_ref(&to), None).unwrap();
        (done.nanoseconds, done.read.into_iter().next().unwrap())
    }

    /// The queries that measure a GPU, on a driver that has them, too.
    #[test]
    fn a_device_with_a_clock_tells_how_long_each_module_ran() {
        with_driver("vulkan::tests::a_device_with_a_clock_tells_how_long_each_module_ran", || {
            let device = cpu(true);
            assert!(device.0.is_timed, "the driver has no timestamps");
            let begun = std::time::Instant::now();
            let (nanoseconds, _) = packed(&device, 1 << 20, 3);
            let nanoseconds = nanoseconds.unwrap();
            let sum: u64 = nanoseconds.iter().sum();
            assert!(nanoseconds.len() == 3 && nanoseconds.iter().all(|time| *time > 0), "{nanoseconds:?}");
            assert!(u128::from(sum) <= begun.elapsed().as_nanos(), "{nanoseconds:?}");
            assert_eq!(packed(&device, 32, 0).0, Some(Vec::new()));
            assert_eq!(packed(&cpu(false), 32, 1).0, None, "nothing is measured where it is not wanted");
        });
    }

    /// Blocks of the processor's memory are used again, and show nothing of what they held.
    #[test]
    fn memory_that_is_used_again_shows_nothing_of_what_it_held() {
        with_driver("vulkan::tests::memory_that_is_used_again_shows_nothing_of_what_it_held", || {
            let device = cpu(false);
            for words in [1 << 18, 70_001, 33, (1 << 17) + 5, 1 << 18, 1] {
                let bytes = words_of_ones(words);
                assert!(packed(&device, words, 1).1 == bytes, "{words}");
            }
            let large: Vec<u8> = (0..(65u32 << 20) / 4).flat_map(u32::to_le_bytes).collect();
            let held = device.fill(&Filling::Bytes(&large)).unwrap();
            assert!(device.run(Vec::new(), &[held], None).unwrap().read[0] == large, "more than one block");
        });
    }

    /// wgpu waits for a queue that it lets go of, which must not be the wait that was to end.
    #[test]
    fn a_device_that_takes_too_long_is_left_to_what_it_does() {
        with_driver("vulkan::tests::a_device_that_takes_too_long_is_left_to_what_it_does", || {
            let device = cpu(false);
            let words = 1u32 << 20;
            let program = device.compile(&Pass::Pack.shader()).unwrap();
            let [all, to, count] = [
                Filling::Zeros(u64::from(words) * 4),
                Filling::Zeros(u64::from(words) / 8),
                Filling::Bytes(&words.to_le_bytes()),
            ]
            .map(|filling| device.fill(&filling).unwrap());
            let buffers = [all, to, count];
            let queued = (0..5000).map(|_| program.queue(&buffers, Pass::groups(words / 32)).unwrap()).collect();
            let done = device.run(queued, &buffers[1..2], Some(Duration::from_millis(1)));
            assert_eq!(done, Err(DeviceFault::Timeout));
            assert!(matches!(device.fill(&Filling::Zeros(4)), Err(DeviceFault::Lost(_))), "others leave it, too");
            let left = Arc::downgrade(&device.0);
            drop((device, program, buffers));
            assert!(left.upgrade().is_some(), "whoever gave it up waited for it");
            assert!(packed(&cpu(false), 33, 1).1 == words_of_ones(33), "another one takes its place");
        });
    }

    /// So many ones as bits in whole words.
    fn words_of_ones(count: u32) -> Vec<u8> {
        let word = |at: u32| (0..32).filter(|bit| at * 32 + bit < count).fold(0u32, |word, bit| word | 1 << bit);
        (0..count.div_ceil(32)).flat_map(|at| word(at).to_le_bytes()).collect()
    }
}
